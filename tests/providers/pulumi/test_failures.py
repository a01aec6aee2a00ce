"""What the engine port makes of a CLI that is missing, old, silent, broken or refused by a policy. Real processes, no engine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.errors import BadResponse, InvalidEnvironment, ProviderRefused, Refused, StateError, Unreachable
from sophia_cli.core.stacks import StackState
from sophia_cli.providers.pulumi.engine import Engine, Scope, TimeLimits
from sophia_cli.providers.pulumi.explain import Place
from sophia_cli.providers.pulumi.installation import inspected
from sophia_cli.providers.pulumi.process import Call, Finished, PulumiCli
from sophia_cli.providers.pulumi.state import keyed, secret_digest, stack_state
from tests.providers.pulumi.contract import STASH
from tests.providers.pulumi.recording import RECORDED, Replay
from tests.providers.pulumi.stacks import Site

SUMMARY = '{"sequence":9,"timestamp":1,"summaryEvent":{"resourceChanges":{"same":1},"result":"succeeded"}}'
PRELUDE = '{"sequence":0,"timestamp":1,"preludeEvent":{"config":{}}}'


def engine(folder: Path, body: str | None, limits: TimeLimits | None = None) -> Engine:
    """An engine whose CLI is a shell script; None: there is none."""
    path = folder / "pulumi"
    if body is not None:
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
    cli = PulumiCli(path, folder / "tmp", None, 0.3)
    place = Place("organization/shop/prod", str(folder))
    return Engine(cli, place, folder, {"PATH": "/usr/bin:/bin"}, limits or TimeLimits())


def test_a_missing_cli_is_said_and_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidEnvironment, match="not installed") as missing:
        asyncio.run(engine(tmp_path, None).exported())
    assert "https://www.pulumi.com/docs/install/" in (missing.value.hint or "")


def test_a_missing_folder_is_not_taken_for_a_missing_cli(tmp_path: Path) -> None:
    made = engine(tmp_path, "exit 0")
    gone = Engine(made.cli, made.place, tmp_path / "gone", made.environment)
    with pytest.raises(InvalidEnvironment, match="cannot be run"):
        asyncio.run(gone.exported())


def test_a_file_that_is_no_program_is_explained(tmp_path: Path) -> None:
    made = engine(tmp_path, "exit 0")
    (tmp_path / "pulumi").chmod(0o644)
    with pytest.raises(InvalidEnvironment, match="cannot be run"):
        asyncio.run(made.exported())


@pytest.mark.parametrize(("printed", "old"), [("v3.90.0", True), ("v3.260.0", False), ("4.0.0", False), ("", False)])
def test_an_old_cli_is_refused_and_a_build_without_a_version_is_not(tmp_path: Path, printed: str, old: bool) -> None:
    made = engine(tmp_path, f"echo {printed}")
    if old:
        with pytest.raises(InvalidEnvironment, match=r"3\.90\.0"):
            asyncio.run(made.version())
    else:
        assert asyncio.run(made.version()) == printed.removeprefix("v")


def test_a_cli_that_speaks_and_hangs_is_stopped_and_quoted(tmp_path: Path) -> None:
    limits = TimeLimits(0.5, 0.5, 0.5)
    made = engine(tmp_path, "echo waiting for a server >&2; sleep 600", limits)
    with pytest.raises(Unreachable, match="waiting for a server"):
        asyncio.run(made.preview(tmp_path / "config.yaml"))
    with pytest.raises(StateError, match="did not end within"):
        asyncio.run(made.up(tmp_path / "config.yaml", tmp_path / "plan.json"))


def test_a_preview_without_a_summary_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    for body in (f"echo '{PRELUDE}'", "echo '{\"steps\": []}'", "true"):
        with pytest.raises(BadResponse):
            asyncio.run(engine(tmp_path, body).preview(tmp_path / "config.yaml"))
    whole = asyncio.run(engine(tmp_path, f"echo '{PRELUDE}'; echo '{SUMMARY}'").preview(tmp_path / "config.yaml"))
    assert (whole.steps, whole.unchanged) == ([], 1)


def test_an_update_that_dies_frees_the_stack_it_held_and_no_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = f'echo "$1" >> {log}; [ "$1" = cancel ] && exit 0; {{}} kill -9 $$'
    config, plan = tmp_path / "config.yaml", tmp_path / "plan.json"
    with pytest.raises(ProviderRefused, match="killed by signal 9"):
        asyncio.run(engine(tmp_path, body.format(f"echo '{PRELUDE}';")).up(config, plan))
    assert log.read_text().split() == ["up", "cancel"]
    log.unlink()
    with pytest.raises(ProviderRefused):
        asyncio.run(engine(tmp_path, body.format("")).up(config, plan))
    assert log.read_text().split() == ["up"]


def test_what_an_operation_covers_is_said_on_its_command_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    made = engine(tmp_path, f"echo \"$@\" > {log}; echo '{SUMMARY}'")
    asyncio.run(made.preview(tmp_path / "c.yaml", Scope(("urn:a", "urn:b"), refresh=True), tmp_path / "plan"))
    words = log.read_text().split()
    assert words[0] == "preview"
    assert " ".join(words).count("--target urn:") == 2
    assert {"--refresh", "--save-plan", "--json", "--non-interactive"} <= set(words)
    assert words[words.index("--stack") + 1] == "organization/shop/prod"


def test_secrets_go_in_by_standard_input_only(tmp_path: Path) -> None:
    log, config = tmp_path / "log", tmp_path / "c.yaml"
    body = (
        f'echo "$@" >> {log}; cat > /dev/null; '
        f"printf 'config:\\n  sophia:secret0: {{secure: v1:a}}\\n  sophia:secret1: {{secure: v1:b}}\\n' > {config}"
    )
    sealed = asyncio.run(engine(tmp_path, body).encrypted(["hunter2", "line\n", "hunter2"], config))
    assert sealed == {"hunter2": "v1:a", "line\n": "v1:b"}
    assert "hunter2" not in log.read_text()
    assert log.read_text().splitlines()[1].split()[3] == "--raw"


class Policed:
    """A CLI that plays a recorded scenario in which a policy refuses every preview."""

    def __init__(self, scenario: str, root: Path) -> None:
        self._replay = Replay(RECORDED / f"{scenario}.jsonl", root)
        self.previews = 0

    async def run(self, call: Call, on_line: Any = None) -> Finished:
        if self.previews == 2:
            return Finished(1, "", "error: no stack named 'prod' found")
        finished = await self._replay.run(call, on_line)
        if call.args[0] != "preview":
            return finished
        self.previews += 1
        refusal = {
            "policyName": "no-public",
            "policyPackName": "house",
            "enforcementLevel": "mandatory",
            "message": "is public",
        }
        on_line(json.dumps({"sequence": 99, "timestamp": 1, "policyEvent": refusal}))
        return Finished(255)


def test_a_mandatory_policy_blocks_the_part_and_its_write(tmp_path: Path) -> None:
    cli = Policed("a_new_stack_is_previewed_without_being_made_and_then_made", tmp_path)
    site = Site.at(tmp_path, cli)
    site.list(STASH, {"kind": "group", "name": "site"}, site.a_file("page", "hello"))

    async def story() -> None:
        target = site.target()
        await target.read()
        part = await target.propose()
        assert part.snapshot.blocks == ("policy house/no-public: is public",)
        assert part.changes
        await target.read()
        with pytest.raises(Refused, match="no-public"):
            await target.write(part.changes, part.snapshot)

    asyncio.run(story())
    assert cli.previews == 2


def test_a_cli_is_shown_with_its_version_and_language_hosts(tmp_path: Path) -> None:
    engine(tmp_path, "echo v3.90.0")
    for name in ("python", "yaml", "python-exec"):
        (tmp_path / f"pulumi-language-{name}").write_text("#!/bin/sh\n")
        (tmp_path / f"pulumi-language-{name}").chmod(0o755)
    cli = PulumiCli(tmp_path / "pulumi", tmp_path / "tmp")
    found = asyncio.run(inspected(cli, str(tmp_path / "pulumi"), {"PATH": "/usr/bin:/bin"}))
    assert (found.version, found.is_old, found.languages) == ("3.90.0", True, ("python", "yaml"))


def test_an_exported_state_is_read_as_digests_that_hide_secrets() -> None:
    mark = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    secret = {**mark, "plaintext": '"hunter2"'}
    root = {"urn": "urn:r", "type": "pulumi:pulumi:Stack", "outputs": {"token": secret, "ip": "192.0.2.1"}}
    thing = {"urn": "urn:t", "type": "t:t:T", "id": "1", "inputs": {"a": {"key": secret, "size": 2.0}}}
    pending = [{"type": "creating", "resource": {"urn": "urn:new"}}]
    exported = {"version": 3, "deployment": {"resources": [root, thing], "pending_operations": pending}}

    def read(key: bytes) -> StackState:
        return stack_state("o/p/s", json.dumps(exported), {}, key)

    found = read(b"key")
    assert found.outputs["token"].data() == {"value": "[secret]", "secret": True, "known": True}
    assert found.outputs["ip"].value == "192.0.2.1"
    assert found.pending == ("creating urn:new",)
    assert set(found.resources["urn:t"].inputs) == {"a.key", "a.size"}
    assert found.digest() == read(b"key").digest() != read(b"other").digest()
    assert keyed(secret, b"key") == secret_digest('"hunter2"', b"key")
    assert "hunter2" not in json.dumps(found.data())
    hiding = stack_state("o/p/s", json.dumps(exported), {}, b"key", ("192.0.2.1",))
    assert hiding.outputs["ip"].data() == {"value": "[secret]", "secret": True, "known": True}


@pytest.mark.parametrize("text", ["", "[]", '{"version": 9, "deployment": {}}', '{"deployment": {}}'])
def test_a_state_of_another_form_is_not_taken_for_an_empty_one(text: str) -> None:
    with pytest.raises(BadResponse):
        stack_state("o/p/s", text, {}, b"")
