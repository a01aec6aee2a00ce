"""Planning, consent, single edits and accepted proposals over in-memory ports: nothing here writes unless it is told to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.dns import Record
from sophia_cli.core.errors import IncompleteRead, Refused, Unreachable, UsageError
from sophia_cli.core.findings import Proposal
from sophia_cli.core.policy import LIMITS
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.flows.accept import accepted, chosen_proposals
from sophia_cli.flows.deploy import Consent, deploy, missing_consent, names_wanted, record_approval
from sophia_cli.flows.edit import RemoveRecord, SetRecord, changes_for, find_zone, plan_edits
from sophia_cli.flows.plan import chosen, parsed_overrides
from sophia_cli.store.directory import replace_text
from tests.builders import DOMAIN, IP, OTHER_IP, THIRD_IP, a, desired, mx, settings_of, txt, zone
from tests.flows.conftest import LIVE
from tests.memory import World

# -- planning ---------------------------------------------------------------------------------------------------------------


def test_planning_reads_and_writes_nothing(world: World) -> None:
    first, second = asyncio.run(world.plan()), asyncio.run(world.plan())
    assert first.plan.digest == second.plan.digest
    assert set(world.zone.log) == {"read"}
    assert not world.root.exists()


@pytest.mark.parametrize(("fault", "error"), [("error", Unreachable), ("incomplete", IncompleteRead)])
def test_a_zone_that_cannot_be_read_whole_plans_nothing(world: World, fault: str, error: type[Exception]) -> None:
    world.zone.fault("read", fault)
    with pytest.raises(error):
        asyncio.run(world.plan())


def test_a_zone_that_reads_empty_although_it_had_records_is_critical(world: World) -> None:
    asyncio.run(world.deploy())
    world.zone.rows = []
    judged = asyncio.run(world.plan())
    assert "emptied-zone" in {reason.rule for reason in judged.verdict.reasons}
    assert judged.verdict.needs() == "name"


def test_target_patterns_choose_zones_and_a_pattern_for_nothing_is_refused() -> None:
    settings = settings_of(desired(name="aaa.example"), desired(name="bbb.example"))
    assert [one.name for one in chosen(settings, ["dns:aaa*"]).zones] == ["aaa.example"]
    assert [one.name for one in chosen(settings, ["bbb.example"]).zones] == ["bbb.example"]
    with pytest.raises(UsageError, match="ccc") as caught:
        chosen(settings, ["ccc"])
    assert "dns:aaa.example" in str(caught.value.hint)
    with pytest.raises(UsageError):
        chosen(settings_of(), ["x"])


def test_overrides_name_a_change_and_a_limit() -> None:
    assert parsed_overrides([f"c1={rule}" for rule in LIMITS]) == {"c1": frozenset(LIMITS)}
    for text in ("c1", "c1=frozen", "=x"):
        with pytest.raises(UsageError):
            parsed_overrides([text])


# -- consent ---------------------------------------------------------------------------------------------------------------


def test_what_a_plan_needs_is_a_yes_a_name_or_an_approval(world: World) -> None:
    judged = asyncio.run(world.plan())
    assert missing_consent(judged, Consent()) == "yes"
    assert missing_consent(judged, Consent(yes=True)) is None
    world.want(desired(replace(txt("v=spf1 -all"))))
    critical = asyncio.run(world.plan())
    assert names_wanted(critical) == {DOMAIN}
    assert missing_consent(critical, Consent(yes=True)) == "name"
    assert missing_consent(critical, Consent(names=frozenset({DOMAIN}))) == "name"
    assert missing_consent(critical, Consent(yes=True, names=frozenset({DOMAIN}))) is None
    assert missing_consent(critical, Consent(yes=True, names=frozenset({"other.example"}))) == "name"


def test_a_recorded_approval_answers_everything_until_it_is_used(world: World) -> None:
    async def story() -> None:
        judged = await world.plan()
        await record_approval(judged.plan, "ada", "terminal", world.ground(), 24)
        approved = await world.plan()
        assert missing_consent(approved, Consent()) is None
        await world.clock.sleep(25 * 3600)
        assert missing_consent(await world.plan(), Consent()) == "yes"

    asyncio.run(story())


def test_a_model_made_change_wants_an_approval(world: World) -> None:
    async def story() -> None:
        judged = await world.plan()
        made = tuple(replace(change, source="model:example.net") for change in judged.plan.changes)
        verdict = (
            await accepted(
                replace(judged, plan=replace(judged.plan, changes=())), made, world.settings, None, world.store
            )
        ).verdict
        assert verdict.needs() == "approval"

    asyncio.run(story())


def test_an_accepted_change_that_could_not_last_is_refused(world: World) -> None:
    change = Change(world.zone.id, "dns.record", "create", None, a("made"), "model:example.net")
    with pytest.raises(Refused, match="would not last"):
        asyncio.run(_accept(world, change))


def test_a_frozen_zone_is_refused_at_the_last_moment_too(world: World) -> None:
    async def story() -> None:
        await world.store.freezes.freeze("dns:*")
        judged = await world.plan()
        with pytest.raises(Refused, match="frozen"):
            await deploy(judged, world.settings, world.ground())

    asyncio.run(story())
    assert "write" not in world.zone.log


# -- ownership by deploying ----------------------------------------------------------------------------------------------------


def test_a_deploy_with_nothing_to_do_learns_what_the_environment_names(tmp_path: Path) -> None:
    world = World.of(tmp_path, settings_of(desired(a("api"))), LIVE)
    assert asyncio.run(world.deploy()) is None
    assert [(one.record, one.by, one.written) for one in asyncio.run(world.owned()).entries] == [
        (a("api"), "config", False)
    ]


@pytest.mark.parametrize("fault", ["refused", "lost_before", "ignored", "half", "drop"])
def test_a_failed_run_owns_nothing(world: World, fault: str) -> None:
    world.zone.fault("write", fault)
    asyncio.run(world.deploy())
    assert asyncio.run(world.owned()).entries == ()


# -- single edits ------------------------------------------------------------------------------------------------------------


def test_a_set_replaces_a_whole_set_and_stands_beside_single_values() -> None:
    live = zone(a("api", IP), a("api", OTHER_IP), txt("one"), txt("v=spf1 mx -all"))
    moved = changes_for(SetRecord(a("api", THIRD_IP, None)), live, desired())
    assert [(change.action, change.before) for change in moved] == [
        ("update", a("api")),
        ("delete", a("api", OTHER_IP)),
    ]
    assert [change.action for change in changes_for(SetRecord(txt("two")), live, desired())] == ["create"]
    (spf,) = changes_for(SetRecord(txt("v=spf1 -all")), live, desired())
    assert (spf.action, spf.before) == ("update", txt("v=spf1 mx -all"))
    assert changes_for(SetRecord(txt("one", ttl=None)), live, desired()) == ()


def test_a_set_keeps_the_ttl_that_is_there_and_gives_new_rows_the_default() -> None:
    live = zone(a("api", IP, 1799))
    (kept,) = changes_for(SetRecord(a("api", OTHER_IP, None)), live, desired())
    (new,) = changes_for(SetRecord(a("new", OTHER_IP, None)), live, desired())
    assert [change.after.ttl for change in (kept, new) if isinstance(change.after, Record)] == [1799, 1800]


def test_a_removal_names_what_goes_and_refuses_what_is_not_there() -> None:
    live = zone(a("api", IP), a("api", OTHER_IP), txt("one", "api"))
    assert len(changes_for(RemoveRecord("api", None), live, desired())) == 3
    assert len(changes_for(RemoveRecord("api", "A"), live, desired())) == 2
    (one,) = changes_for(RemoveRecord("api", "A", OTHER_IP), live, desired())
    assert one.before == a("api", OTHER_IP)
    with pytest.raises(Refused, match="no record of type MX"):
        changes_for(RemoveRecord("api", "MX"), live, desired())


def test_a_name_finds_its_zone_or_the_only_one() -> None:
    one, two = desired(name="aaa.example"), desired(name="sub.aaa.example")
    assert find_zone(settings_of(one, two), "x.sub.aaa.example.").name == "sub.aaa.example"
    assert find_zone(settings_of(one), "api").name == "aaa.example"
    with pytest.raises(UsageError, match="which domain"):
        find_zone(settings_of(one, two), "api")
    with pytest.raises(UsageError, match="no dns section"):
        find_zone(settings_of(), "api")


def test_an_edit_that_cannot_last_is_refused_with_the_patch_to_make_by_hand(world: World) -> None:
    with pytest.raises(Refused, match="fresh") as caught:
        asyncio.run(
            plan_edits(
                [(world.settings.zones[0], SetRecord(a("fresh")))],
                world.settings,
                world.zones,
                None,
                world.store,
                world.clock.now(),
            )
        )
    assert caught.value.details["edits"]
    assert "write" not in world.zone.log


# -- proposals ---------------------------------------------------------------------------------------------------------------


def proposal(name: str, *, safe: bool = True, source: str = "rule:R1") -> Proposal:
    change = Change(f"dns:{DOMAIN}", "dns.record", "create", None, txt(f"by {name}", name), source, f"for {name}")
    return Proposal(name, "F", (change,), "because", "0.9", source, "remove it", safe)


def test_accepting_by_id_and_safe() -> None:
    offered = [proposal("p1"), proposal("p2", safe=False), proposal("p3", source="model:example.net")]
    careful, safe = settings_of(autonomy="suggest"), settings_of(autonomy="autonomous-safe")
    assert [one.id for one in chosen_proposals(offered, ["p3", "p1"], careful)] == ["p1", "p3"]
    assert [one.id for one in chosen_proposals(offered, ["safe"], safe)] == ["p1"]
    with pytest.raises(Refused, match="autonomous-safe"):
        chosen_proposals(offered, ["safe"], careful)
    with pytest.raises(UsageError, match="no such proposal"):
        chosen_proposals(offered, ["p9"], safe)


def test_an_accepted_proposal_joins_the_plan_under_a_new_digest_and_edits_the_environment(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text("values:\n  dns:\n    domain: example.com\n    records: {}\n")
    world.file = EnvironmentFileTarget("acme", path, world.clock, replace_text)

    async def story() -> None:
        judged = await world.plan()
        more = await accepted(judged, proposal("p1").changes, world.settings, world.file, world.store)
        assert more.plan.digest != judged.plan.digest
        assert more.plan.touched() == ("config:acme", world.zone.id)
        run = await deploy(more, world.settings, world.ground())
        assert run is not None
        assert run.outcome == "applied"
        assert txt("by p1", "p1") in world.zone.zone.records
        assert "by p1" in path.read_text()
        assert await accepted(judged, (), world.settings, world.file, world.store) is judged

    asyncio.run(story())


def test_a_proposal_for_a_record_the_plan_itself_changes_is_refused(world: World) -> None:
    change = Change(world.zone.id, "dns.record", "delete", a("api"), None, "rule:R1", "clash")
    with pytest.raises(Refused, match="itself changes that record"):
        asyncio.run(_accept(world, change))


async def _accept(world: World, change: Change) -> None:
    await accepted(await world.plan(), [change], world.settings, None, world.store)


def test_the_mail_mode_guards_its_exchangers(tmp_path: Path) -> None:
    world = World.of(tmp_path, settings_of(desired(mx(priority=20), email_type="FWD")), LIVE)
    with pytest.raises(Refused, match="mx-mode"):
        asyncio.run(world.deploy())
    assert world.zone.zone == LIVE
