"""Without the engine's command every command works for zones and says plainly what it left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.harness import Ran, run
from tests.test_startup import MODELS_AND_STACKS, loaded

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "stack-and-zone"


@pytest.fixture
def place(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's folder on a machine that has no engine."""
    monkeypatch.delenv("SOPHIA_PULUMI", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if shutil.which("pulumi"):
        pytest.skip("a pulumi CLI is among the system's own programs")
    ignored = shutil.ignore_patterns(".sophia", "servers", "__pycache__")
    shutil.copytree(EXAMPLE, work, dirs_exist_ok=True, ignore=ignored)
    return work


def records(ran: Ran) -> set[str]:
    return {change["after"]["name"] for change in ran.data["changes"] if change["after"]}


def test_plan_and_deploy_do_the_zone_and_name_the_stack_they_left_out(place: Path) -> None:
    planned = run("plan", "-o", "json", "-v")
    assert (planned.code, records(planned)) == (0, {"docs"})
    assert "stack prod is left out: the pulumi command is not here (sophia doctor)" in planned.err
    deployed = run("deploy", "--yes", "--wait", "5")
    assert (deployed.code, "stack prod is left out" in deployed.err) == (0, True)
    again = run("plan", "--detailed-exitcode", "-o", "json")
    assert (again.code, again.data["changes"]) == (0, [])
    assert run("heal", "--wait", "0").code == 0


def test_the_list_of_stacks_says_that_it_cannot_tell(place: Path) -> None:
    listed = run("stack", "list", "-o", "json")
    (entry,) = listed.data["stacks"]
    assert (listed.code, entry["environment"], "exists" in entry) == (0, "prod", False)
    assert "pulumi command is not here" in entry["problem"]


def test_threats_in_a_stacks_history_are_not_tested_and_nothing_is_left_in_the_state(place: Path) -> None:
    ran = run("audit", "threats", "-o", "json")
    (source,) = ran.data["sources"]
    assert (ran.code, source["name"], source["tested"]) == (0, "pulumi:prod", False)
    assert "pulumi command is not here" in source["reason"]
    assert "not tested: the pulumi command is not here" in " ".join(run("audit", "threats").out.split())
    assert not (place / ".sophia").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("show",),
        ("outputs", "prod"),
        ("history",),
        ("drift",),
        ("restore", "--yes"),
        ("adopt", "--yes"),
        ("destroy", "--yes", "--confirm", "prod"),
    ],
    ids=" ".join,
)
def test_what_needs_the_engine_says_how_to_get_it(place: Path, words: tuple[str, ...]) -> None:
    ran = run("stack", *words)
    assert (ran.code, "not installed" in ran.err, "https://www.pulumi.com/docs/install/" in ran.err) == (64, True, True)


@pytest.mark.parametrize(
    "text",
    [
        "Scale up the webhook processing capacity for the next hour",
        "Deploy a new staging environment for testing the new API",
        "destroy the prod environment",
    ],
)
def test_asking_reads_the_sentence_and_refuses_by_name(place: Path, text: str) -> None:
    before = (place / "sophia.yaml").read_text()
    ran = run("ask", text, "--yes", "-o", "json")
    assert (ran.code, "pulumi command is not here" in ran.data["refused"]) == (3, True)
    assert ran.data["command"].startswith("sophia stack ")
    assert (place / "sophia.yaml").read_text() == before


def test_an_end_can_be_given_without_the_engine_and_heal_reports_it(place: Path) -> None:
    ran = run("ask", "let the prod environment expire in 3 days", "--yes", "-o", "json")
    assert (ran.code, ran.data["runs"][0]["outcome"]) == (0, "applied")
    assert "expires: " in (place / "sophia.yaml").read_text()
    assert run("stack", "expire", "prod", "--never", "--yes").code == 0
    assert "expires" not in (place / "sophia.yaml").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("scale", "webhooks"),
        ("scale", "webhooks", "--up", "--down"),
        ("scale", "webhooks", "--to", "3", "--by", "2"),
        ("scale", "webhooks", "--up", "--by", "-1"),
        ("scale", "webhooks", "--down", "--by", "100%"),
        ("scale", "webhooks", "--up", "--for", "soon"),
        ("scale", "webhooks", "--up", "--for", "1h", "--until", "2099-01-01T00:00:00Z"),
        ("scale", "webhooks", "--up", "--until", "2099-01-01T00:00:00"),
        ("create", "staging", "--from", "nothing"),
        ("create", "staging", "--until", "tomorrow"),
        ("expire", "prod"),
        ("expire", "prod", "--at", "2099-01-01T00:00:00Z", "--never"),
        ("expire", "prod", "--at", "2001-01-01T00:00:00Z"),
        ("expire", "nothing", "--never"),
        ("show", "nothing"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_explained_before_anything_is_asked_of_an_engine(place: Path, words: tuple[str, ...]) -> None:
    ran = run("stack", *words, "--yes")
    assert (ran.code, "Traceback" in ran.err, "a defect" in ran.err) == (64, False, False)


def test_an_end_that_is_no_time_is_an_error_of_the_file(place: Path) -> None:
    text = (place / "sophia.yaml").read_text()
    (place / "sophia.yaml").write_text(
        text.replace("config: {region: home", "expires: soon\n        config: {region: home")
    )
    ran = run("config", "check")
    assert (ran.code, "soon is not a time such as" in ran.out.replace("'", "").replace('"', "")) == (64, True)


def test_a_later_start_is_refused_with_the_way_to_have_it(place: Path) -> None:
    ran = run("stack", "scale", "webhooks", "--up", "--from", "2099-01-01T00:00:00Z")
    assert (ran.code, "cron" in ran.err) == (3, True)


def test_secrets_are_revealed_on_a_terminal_only(place: Path) -> None:
    ran = run("stack", "outputs", "--reveal")
    assert (ran.code, "--confirm reveal" in ran.err) == (3, True)


@pytest.mark.parametrize("words", [("plan",), ("stack", "list"), ("doctor",)], ids=" ".join)
def test_no_command_without_an_engine_loads_its_library(place: Path, words: tuple[str, ...]) -> None:
    code = 1 if words == ("doctor",) else 0
    assert loaded(place, *words, code=code) & set(MODELS_AND_STACKS) == set()


# -- several stacks ------------------------------------------------------------------------------------------------------


EMPTY = """#!/bin/sh
echo "$@" >> {log}
case "$1 $2" in
  "stack export") echo '{{"version": 3, "deployment": {{}}}}' ;;
  "config refresh") echo "error: no previous deployment" >&2; exit 1 ;;
  "config --json") echo '{{}}' ;;
  preview*) echo '{{"sequence":1,"timestamp":1,"summaryEvent":{{"resourceChanges":{{}},"result":"succeeded"}}}}' ;;
esac
"""  # a CLI whose stacks are all there and empty


@pytest.fixture
def several(place: Path) -> Path:
    """An environment of two stacks, neither of which carries its name."""
    file = place / "sophia.yaml"
    one = "      prod:\n        config: {region: home, webhookWorkers: 2}\n"
    text = file.read_text()
    assert one in text
    link = next(line for line in text.splitlines() if "${stacks.prod.outputs.ip}" in line)
    file.write_text(text.replace(one, one + one.replace("prod", "backup")).replace(f"{link}\n", ""))
    return place


def test_without_a_name_every_stack_is_left_out_by_name(several: Path) -> None:
    assert "stack backup, prod is left out" in run("plan", "-v").err
    assert "stack backup is left out" in run("plan", "-v", "--stack", "backup").err


@pytest.mark.parametrize(
    ("words", "asked"),
    [((), ["backup", "prod"]), (("--stack", "backup"), ["backup"]), (("--target", "stack:*/prod"), ["prod"])],
    ids=str,
)
def test_without_a_name_every_stack_is_looked_at(
    several: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], asked: list[str]
) -> None:
    log = several / "log"
    a_cli(several / "bin", "3.200.0", "python")
    stand_in = several / "bin" / "pulumi"
    stand_in.write_text(EMPTY.format(log=log))
    monkeypatch.setenv("SOPHIA_PULUMI", str(stand_in))
    planned = run("plan", *words, "-o", "json")
    assert planned.code == 0, planned.err
    said = [line.split() for line in log.read_text().splitlines() if line.startswith("preview ")]
    assert {words[words.index("--stack") + 1].rpartition("/")[2] for words in said} == set(asked)
    targets = {one["id"] for one in planned.data["targets"] if one["id"].startswith("stack:")}
    assert targets == {f"stack:organization/shop/{name}" for name in asked}


# -- doctor -------------------------------------------------------------------------------------------------------------


def checks(*words: str) -> dict[str, tuple[bool | None, str, str]]:
    ran = run("doctor", "-o", "json", *words)
    return {one["name"]: (one["ok"], one["message"], one["mend"]) for one in ran.data["checks"]}


def a_cli(folder: Path, version: str, *languages: str) -> None:
    """A stand-in that knows its version, and the language hosts beside it."""
    folder.mkdir()
    for name in ("pulumi", *(f"pulumi-language-{language}" for language in languages)):
        (folder / name).write_text(f"#!/bin/sh\necho v{version}\n")
        (folder / name).chmod(0o755)


def test_doctor_offers_the_installation_and_does_not_install_without_a_yes(place: Path) -> None:
    ok, _, mend = checks()["pulumi"]
    assert (ok, "sophia doctor --install-pulumi" in mend) == (False, True)
    ran = run("doctor", "--install-pulumi")
    assert (ran.code, "--yes" in ran.err) == (3, True)


def test_doctor_installs_through_the_sdk_once_somebody_says_yes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    async def install(root: Path) -> str:
        asked.append(root)
        return str(root / "bin" / "pulumi")

    monkeypatch.setattr("sophia_cli.providers.pulumi.installation.install", install)
    ran = run("doctor", "--install-pulumi", "--yes")
    assert asked == [Path.home() / ".pulumi"]
    assert "installed " in ran.err


def test_doctor_names_a_cli_that_is_too_old(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_cli(place / "bin", "3.60.0", "python")
    monkeypatch.setenv("SOPHIA_PULUMI", str(place / "bin" / "pulumi"))
    ok, message, _ = checks()["pulumi"]
    assert (ok, "3.60.0" in message, "or later is needed" in message) == (False, True, True)


def test_doctor_looks_at_language_backend_login_and_passphrase(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_cli(place / "bin", "3.200.0", "nodejs")
    monkeypatch.setenv("SOPHIA_PULUMI", str(place / "bin" / "pulumi"))
    found = checks()
    assert found["pulumi"][0] is True
    assert (found["pulumi language"][0], "no host for python" in found["pulumi language"][1]) == (False, True)
    assert found["pulumi backend"][0] is True
    shutil.rmtree(place / "state")
    assert (checks()["pulumi backend"][0], checks()["pulumi backend"][2]) == (False, f"mkdir -p {place / 'state'}")
    file = place / "sophia.yaml"
    kept = [line for line in file.read_text().splitlines() if "passphrase:" not in line]
    file.write_text("\n".join(kept) + "\n")
    (place / "state").mkdir()
    assert checks()["pulumi passphrase"][0] is False
    file.write_text(file.read_text().replace("    backend: file://./state\n", ""))
    ok, message, mend = checks()["pulumi backend"]
    assert (ok, "nobody is logged in" in message, "PULUMI_ACCESS_TOKEN" in mend) == (False, True, True)
