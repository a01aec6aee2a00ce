"""`sophia` over a real engine that is torn: killed and interrupted in the middle of an update, and ended elsewhere."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.cli import stack_site
from tests.cli.stack_site import PATIENCE_S, Site, move_clock, wait
from tests.providers.pulumi.cli import needs_engine
from tests.store.forms import served

pytestmark = [*needs_engine, pytest.mark.xdist_group("engine")]


@pytest.fixture
def site(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return stack_site.deployed(tmp_path_factory).copy(tmp_path / "site")


def test_an_update_goes_on_when_sophia_is_killed_and_heal_finds_it_as_planned(site: Site) -> None:
    site.held()
    site.edit("webhookWorkers: 2", "webhookWorkers: 4")
    with site.started("deploy", "--yes") as process:
        process.kill()
        process.wait(PATIENCE_S)
        early = site.run("plan")
        assert (early.code, "an update goes on whose sophia was killed" in early.err) == (6, True)
        site.let_go()
        wait(lambda: not site.engines())
    healed = site.ok("heal", "-o", "json").data
    assert [one["outcome"] for one in healed["runs"]] == ["applied"]
    assert site.workers == 4
    assert site.ok("plan", "--detailed-exitcode", "-o", "json").data["changes"] == []
    assert not list((site.root / ".sophia" / "pulumi" / "tmp").iterdir())


def test_after_a_crash_of_sophia_and_engine_heal_ends_the_plugins_and_puts_the_resource_back(site: Site) -> None:
    site.held()
    site.edit("webhookWorkers: 2", "webhookWorkers: 4")
    with site.started("deploy", "--yes") as process:
        process.kill()
        for engine in site.engines("pulumi"):
            os.kill(engine, signal.SIGKILL)
        process.wait(PATIENCE_S)
        wait(lambda: not site.engines("pulumi"))
        assert site.engines()
        site.let_go()
        wait(lambda: site.workers == 4)  # the plugin ends what it had begun, and nobody records it
        healed = site.ok("heal", "-o", "json").data
        assert not site.engines()
    assert [one["outcome"] for one in healed["runs"]].count("applied") == 1
    assert site.workers == 2
    assert site.ok("heal", "-o", "json").data["runs"] == []


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


# -- ended elsewhere --------------------------------------------------------------------------------------------------------


def test_an_hour_that_one_machine_began_is_ended_by_another_over_a_shared_state(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.edit(
        "file://./state", f"file://{site.root / 'state'}"
    )  # the backend, like the servers, is one for both machines
    site.edit("program: infra:main", f"program: infra:main\n    work_dir: {site.root}")
    text = site.file.read_text()
    site.file.write_text(
        text[: text.index("  dns:")] + text[text.index("  pulumi:") :]
    )  # each machine has its own sandbox
    shutil.rmtree(site.root / ".sophia")
    other = Site(tmp_path / "elsewhere")
    other.root.mkdir()
    shutil.copy(site.file, other.file)
    wanted = site.server.read_text()
    with served(port=True) as server:
        monkeypatch.setenv("SOPHIA_STATE", server.url())
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "one"))
        words = ("ask", "Scale up the webhook processing capacity for the next hour", "--yes", "-o", "json")
        assert site.ok(*words).data["runs"][0]["outcome"] == "applied"
        assert site.workers == 3
        shutil.copy(site.file, other.file)  # as a team's checkouts are brought to the same commit

        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "two"))
        move_clock(monkeypatch, hours=2)
        healed = other.ok("heal", "-o", "json").data
        assert [run["outcome"] for run in healed["runs"]] == ["applied"]
        assert (site.server.read_text(), "webhookWorkers: 2" in other.file.read_text()) == (wanted, True)
        assert other.ok("heal", "-o", "json").data["runs"] == []
        assert other.ok("plan", "--detailed-exitcode", "-o", "json").data["changes"] == []
