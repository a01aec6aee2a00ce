"""Records that take a stack's output: ordered by it, approved as a link, filled and checked while applying."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.changes import UNKNOWN
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import UnknownValue
from sophia_cli.core.history import Run
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Pulumi, Settings, Stack
from sophia_cli.flows.deploy import deploy
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.links import linked, with_current_outputs
from sophia_cli.flows.plan import Judged, make_plan
from tests.builders import DOMAIN, IP, a, desired, settings_of, zone
from tests.memory import World
from tests.memory_stack import STACK, MemoryStack

LIVE = zone(a("other"))
ZONE = f"dns:{DOMAIN}"
SERVER = f"stack:{STACK}"


def link(name: str, kind: str = "A", takes: str = "prod#ip") -> DesiredRecord:
    return DesiredRecord(Record(name, kind, UNKNOWN, 1800), f"dns.records.{name}", takes=takes)


def wanted(*rows: DesiredRecord) -> DesiredZone:
    return replace(desired(), records=rows)


def settings(*rows: DesiredRecord) -> Settings:
    return replace(settings_of(wanted(*rows)), pulumi=Pulumi(stacks=(Stack("prod", "prod"),)))


class Both:
    """A zone and a stack in one environment."""

    def __init__(self, root: Path, *rows: DesiredRecord) -> None:
        self.world = World.of(root, settings(*rows), LIVE)
        self.stack = MemoryStack(self.world.clock)
        self.asked: list[str] = []
        self.answer = False

    def ground(self) -> Ground:
        found = self.world.ground()

        def agrees(change: object) -> bool:
            self.asked.append(str(change))
            return self.answer

        return replace(found, targets={**found.targets, SERVER: self.stack}, agrees=agrees)

    def plan(self) -> Judged:
        ground = self.ground()
        return asyncio.run(make_plan(self.world.settings, ground.targets, ground.store, self.world.clock.now()))

    def deploy(self, judged: Judged | None = None) -> Run | None:
        return asyncio.run(deploy(judged or self.plan(), self.world.settings, self.ground()))

    def addresses(self, name: str) -> list[str]:
        return [row.value for row in self.world.zone.zone.at(name, "A")]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path / "state", link("www"))


def test_a_record_is_planned_after_the_stack_whose_output_it_takes(both: Both) -> None:
    plan = both.plan().plan
    assert plan.touched() == (SERVER, ZONE)
    record = plan.of(ZONE)[0]
    assert isinstance(record.after, Record)
    assert record.after.value == UNKNOWN
    assert record.data()["takes"] == f"{SERVER}#ip"


def test_the_output_is_filled_in_while_applying_and_the_next_plan_is_empty(both: Both) -> None:
    run = both.deploy()
    assert run is not None
    assert run.outcome == "applied"
    assert both.addresses("www") == [both.stack.ip]
    assert run.of(ZONE)[0].after == Record("www", "A", both.stack.ip, 1800)
    assert both.plan().plan.is_empty()


def test_the_record_is_left_unwritten_when_the_stack_fails(both: Both) -> None:
    both.stack.refuses = True
    run = both.deploy()
    assert run is not None
    assert run.outcome == "nothing"
    assert both.addresses("www") == []
    assert "write" not in both.world.zone.log


def test_an_output_that_fits_no_record_leaves_the_zone_as_it_was(both: Both) -> None:
    both.stack.ip = "not an address"
    run = both.deploy()
    assert run is not None
    assert run.outcome == "partial"
    assert "does not fit" in run.leg(ZONE).message
    assert both.world.zone.zone == LIVE


def test_a_known_output_that_became_another_one_is_not_written(both: Both) -> None:
    both.stack.shown = True
    judged = both.plan()
    after = judged.plan.of(ZONE)[0].after
    assert isinstance(after, Record)
    assert after.value == both.stack.ip
    both.stack.ip = "198.51.100.99"
    run = both.deploy(judged)
    assert run is not None
    assert run.leg(ZONE).phase == "skipped"
    assert "not what was approved" in run.leg(ZONE).message
    assert both.addresses("www") == []


@pytest.mark.parametrize(("answer", "addresses"), [(False, []), (True, ["198.51.100.7"])])
def test_the_apex_is_asked_for_again_once_its_address_is_known(
    tmp_path: Path, answer: bool, addresses: list[str]
) -> None:
    both = Both(tmp_path / "state", link("@"))
    both.answer = answer
    both.deploy()
    assert len(both.asked) == 1
    assert both.stack.ip in both.asked[0]
    assert both.addresses("@") == addresses


def test_deletes_go_record_first_then_stack(both: Both) -> None:
    both.deploy()
    both.world.want(wanted())
    both.stack.wanted = False
    plan = both.plan().plan
    assert plan.touched() == (ZONE, SERVER)
    both.world.zone.fault("write", "refused")
    run = both.deploy()
    assert run is not None
    assert run.leg(SERVER).phase == "skipped"
    assert both.stack.there
    assert both.addresses("www") == [both.stack.ip]


def test_without_the_stack_its_records_are_kept_as_they_are_and_the_rest_is_planned(both: Both) -> None:
    both.deploy()
    both.world.want(replace(wanted(link("www")), records=(link("www"), *desired(a("new", IP)).records)))
    ground = both.world.ground()
    plan = asyncio.run(make_plan(both.world.settings, ground.targets, ground.store, both.world.clock.now())).plan
    assert [(change.action, change.after.name) for change in plan.changes if isinstance(change.after, Record)] == [
        ("create", "new")
    ]
    assert {kept.why for kept in plan.kept if kept.record.name == "www"} == {
        "takes its value from stack prod, which was left out"
    }


def test_heal_compares_records_with_what_the_stack_publishes_now(both: Both) -> None:
    both.deploy()
    now = asyncio.run(with_current_outputs(both.world.settings, both.ground().targets))
    assert now.zones[0].records[0].record.value == both.stack.ip


def test_an_output_that_does_not_exist_is_an_error_that_names_it() -> None:
    with pytest.raises(UnknownValue, match="no output port"):
        linked(wanted(link("www", takes="prod#port")), settings().pulumi, {SERVER: {}})
