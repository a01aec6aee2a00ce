"""`sophia` over a real engine: looked at, mended, scaled for a while, made and destroyed, killed and interrupted.

The program is that of `examples/stack-and-zone`; the zone is the sandbox's. One stack is deployed once and copied.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sophia_cli.cli.runtime as runtime
from tests.cli.harness import Ran, run
from tests.providers.pulumi.cli import needs_engine
from tests.test_startup import MODELS_AND_STACKS, loaded

pytestmark = [*needs_engine, pytest.mark.xdist_group("engine")]

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "stack-and-zone"
HELD = """
    def _hold(self):
        import time
        (HERE / "begun").touch()
        while (HERE / "hold").exists():
            time.sleep(0.05)
"""
PATIENCE_S = 60


@dataclass
class Site:
    """A copy of the example. `hold` makes the next change of a resource wait until it is let go."""

    root: Path

    @property
    def file(self) -> Path:
        return self.root / "sophia.yaml"

    @property
    def server(self) -> Path:
        return self.root / "servers" / "web-prod.json"

    @property
    def workers(self) -> int:
        return int(json.loads(self.server.read_text())["workers"])

    def run(self, *words: str) -> Ran:
        return run(*words, "-e", str(self.file), "--wait", "0")

    def ok(self, *words: str) -> Ran:
        ran = self.run(*words)
        assert ran.code == 0, ran.out + ran.err
        return ran

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def copy(self, root: Path) -> Site:
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Site(root)

    def held(self) -> None:
        """Let the program hold its next change."""
        path = self.root / "infra.py"
        text = path.read_text().replace(
            "    def create(self, inputs):\n", HELD.lstrip("\n") + "\n    def create(self, inputs):\n"
        )
        text = text.replace(
            "    def update(self, id_, _olds, news):\n",
            "    def update(self, id_, _olds, news):\n        self._hold()\n",
        )
        path.write_text(text)
        (self.root / "hold").touch()

    def let_go(self) -> None:
        (self.root / "hold").unlink(missing_ok=True)

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A command as a process, once the engine is in the middle of a change."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sophia_cli", *words, "-e", str(self.file), "--wait", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        try:
            wait(lambda: (self.root / "begun").exists() or process.poll() is not None)
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            self.let_go()
            if process.poll() is None:
                process.kill()
            process.communicate()
            wait(lambda: not self.engines("pulumi"))
            for plugin in self.engines():  # those of a CLI that died with its reader outlive it
                os.kill(plugin, signal.SIGKILL)

    def engines(self, name: str | None = None) -> list[int]:
        """The engine's processes that work on this site."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                program = folder.joinpath("cmdline").read_bytes().partition(b"\0")[0].decode().rpartition("/")[2]
                mine = f"PULUMI_BACKEND_URL=file://{self.root}/".encode() in folder.joinpath("environ").read_bytes()
                if mine and name in (None, program):
                    found.append(int(folder.name))
        return found


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("stack")
    shutil.copytree(
        EXAMPLE, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".sophia", "servers", "__pycache__")
    )
    site = Site(root)
    site.ok("deploy", "--yes")
    return site


@pytest.fixture
def site(deployed: Site, tmp_path: Path) -> Site:
    return deployed.copy(tmp_path / "site")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Moves the clock of commands."""

    def move(**length: float) -> None:
        class Later(runtime.SystemClock):
            def now(self) -> datetime:
                return super().now() + timedelta(**length)

        monkeypatch.setattr(runtime, "SystemClock", Later)

    return move


def entry(ran: Ran) -> Any:
    (found,) = ran.data["stacks"]
    return found


# -- looking ------------------------------------------------------------------------------------------------------------


def test_what_a_stack_holds_publishes_and_went_through_is_shown(deployed: Site) -> None:
    listed = entry(deployed.ok("stack", "list", "-o", "json"))
    assert (listed["environment"], listed["exists"], listed["resource_count"]) == ("prod", True, 1)
    assert listed["updates"][0]["result"] == "succeeded"
    shown = entry(deployed.ok("stack", "show", "prod", "-o", "json"))
    assert [(one["name"], one["protect"]) for one in shown["resources"]] == [("web-prod", False)]
    outputs = entry(deployed.ok("stack", "outputs", "-o", "json"))["outputs"]
    assert {name: one["value"] for name, one in outputs.items()} == {"ip": "203.0.113.40", "server": "web-prod"}
    past = entry(deployed.ok("stack", "history", "-o", "json"))["updates"]
    assert [(one["kind"], one["message"]) for one in past] == [("update", "sophia deploy")]
    for command in ("list", "show", "outputs", "history"):
        assert max(map(len, deployed.ok("stack", command).out.splitlines())) <= 80


def test_looking_at_a_stack_loads_no_stack_library(deployed: Site, tmp_path: Path) -> None:
    words = ("stack", "outputs", "-e", str(deployed.file))
    assert loaded(tmp_path, *words) & set(MODELS_AND_STACKS) == set()


# -- drift --------------------------------------------------------------------------------------------------------------


def test_drift_is_shown_by_property_and_put_back_or_taken_over_as_asked(site: Site) -> None:
    wanted = site.server.read_text()
    site.server.write_text("broken")
    drifted = site.run("stack", "drift", "--detailed-exitcode", "-o", "json")
    (one,) = entry(drifted)["drift"]
    assert (drifted.code, one["name"], one["property"]) == (2, "web-prod", "settings")
    assert (one["recorded"], one["there"]) == (wanted, "broken")
    assert site.run("stack", "restore", "web-prod").code == 3
    assert site.server.read_text() == "broken"
    site.ok("stack", "restore", "web-prod", "--yes")
    assert site.server.read_text() == wanted
    site.server.write_text("meant")
    assert site.run("stack", "adopt", "nothing", "--yes").code == 3
    site.ok("stack", "adopt", "--yes")
    assert site.server.read_text() == "meant"
    assert entry(site.ok("stack", "drift", "-o", "json"))["drift"] == []


# -- scaling for a while --------------------------------------------------------------------------------------------------


def test_ask_scales_for_an_hour_and_heal_puts_it_back_when_it_is_over(site: Site, later: Callable[..., None]) -> None:
    before = site.file.read_text()
    ran = site.ok("ask", "Scale up the webhook processing capacity for the next hour", "--yes", "-o", "json")
    assert ran.data["runs"][0]["outcome"] == "applied"
    assert (site.workers, "webhookWorkers: 3" in site.file.read_text()) == (3, True)
    words = shlex.split(ran.data["command"])[1:]
    assert site.run(*words, "-o", "json").code == 3  # the equal command is a real one; it only lacks the yes
    site.ok("heal")
    assert site.workers == 3
    later(hours=2)
    healed = site.ok("heal", "-o", "json").data
    assert [run["outcome"] for run in healed["runs"]] == ["applied"]
    assert (site.workers, site.file.read_text()) == (2, before)
    assert site.ok("plan", "--detailed-exitcode", "-o", "json").data["changes"] == []


def test_a_rollback_brings_configuration_and_resource_back(site: Site) -> None:
    wanted = site.server.read_text()
    site.edit("region: home", "region: moon")
    site.ok("deploy", "--yes")
    assert "moon" in site.server.read_text()
    site.ok("rollback", "--yes")
    assert site.server.read_text() == wanted


# -- environments ---------------------------------------------------------------------------------------------------------


def test_an_environment_is_asked_for_made_and_taken_down_by_its_name(site: Site) -> None:
    text = "Deploy a new staging environment for testing the new API"
    before = site.file.read_text()
    planned = site.ok("ask", text, "-o", "json").data
    assert planned["command"] == "sophia stack create staging"
    kinds = {change["kind"] for change in planned["plan"]["changes"]}
    assert kinds == {"config.value", "stack.config", "stack.resource", "dns.record"}
    site.ok(*shlex.split(planned["command"])[1:], "--yes")
    assert {one["environment"] for one in site.ok("stack", "list", "-o", "json").data["stacks"]} == {"prod", "staging"}
    assert (site.root / "servers" / "web-staging.json").exists()
    rows = site.ok("plan", "--stack", "staging", "--detailed-exitcode", "-o", "json").data
    assert rows["changes"] == []
    refused = site.run("stack", "destroy", "staging", "--yes")
    assert (refused.code, "--confirm staging" in refused.err) == (3, True)
    site.ok("stack", "destroy", "staging", "--yes", "--confirm", "staging")
    assert not (site.root / "servers" / "web-staging.json").exists()
    assert site.file.read_text() == before
    assert entry(site.ok("stack", "list", "-o", "json"))["environment"] == "prod"
    assert site.server.exists()


# -- torn ---------------------------------------------------------------------------------------------------------------


def test_a_deploy_killed_in_the_middle_of_an_update_is_closed_truthfully_by_heal(site: Site) -> None:
    site.held()
    site.edit("webhookWorkers: 2", "webhookWorkers: 4")
    with site.started("deploy", "--yes") as process:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    healed = site.ok("heal", "-o", "json").data
    assert {one["outcome"] for one in healed["runs"]} <= {"applied", "rolled_back"}
    assert [one["outcome"] for one in healed["runs"]].count("rolled_back") == 1
    assert site.workers == 2  # what the engine had begun without recording it was drift, and is put back
    assert site.ok("heal", "-o", "json").data["runs"] == []
    site.ok("deploy", "--yes")
    assert site.workers == 4


def test_ctrl_c_lets_the_update_finish_and_a_second_one_leaves_a_journal_that_heal_can_close(site: Site) -> None:
    site.held()
    site.edit("webhookWorkers: 2", "webhookWorkers: 4")
    with site.started("deploy", "--yes") as process:
        process.send_signal(signal.SIGINT)
        wait(lambda: "stopping when this write is settled" in os.read(process.stderr.fileno(), 4096).decode())  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        site.let_go()
        assert process.wait(PATIENCE_S) == 5
    healed = site.run("heal", "-o", "json")
    assert healed.code in (0, 2), healed.err
    assert {one["outcome"] for one in healed.data["runs"]} <= {"applied", "nothing", "rolled_back"}
    site.ok("deploy", "--yes")
    assert site.workers == 4
