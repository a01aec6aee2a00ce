"""Live analysis against NSD, Knot and BIND on loopback: each fault is found with its evidence, and a sound domain has none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.checks.registry import examine
from sophia_cli.cli.clock import SystemClock
from sophia_cli.cli.live_dns import Live, by_dns
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.dns_facts import Question, Wanted
from sophia_cli.core.errors import Unreachable
from sophia_cli.core.findings import Finding
from sophia_cli.flows.analyze import Analysis, analyze
from sophia_cli.flows.live_dns import with_live_dns
from sophia_cli.flows.live_web import with_history
from sophia_cli.providers.dns_survey.exchange import Party
from sophia_cli.providers.dns_survey.survey import DnsSurvey, best
from sophia_cli.providers.zone_file import parse_zone_file
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.measurements import StoredMeasurements
from tests.providers.dns_survey.servers import BIND, KNOT, NSD, zone_text
from tests.providers.dns_survey.world import FAULTY, GOOD, HEALTHY, LONG, World

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("dns-servers")]

# What any small domain on two loopback servers without IPv6 shows, with nothing wrong in it.
EXPECTED = {"DNS-NS-V6", "SEC-DNSSEC-NONE", "CAA-NONE", "MAIL-SPF-NONE", "MAIL-DMARC-NONE"}


ODD = ("a\\.b.good.example", "x" * 64, "a..b", "*.good.example", "ü.test")


def survey(world: World) -> DnsSurvey:
    return DnsSurvey(SystemClock(), [Party("127.0.0.1", world.resolver.port)], port=world.port)


async def looked_at(world: World, names: Sequence[str]) -> Analysis:
    async with survey(world) as found:
        live, clock = Live(found), SystemClock()
        readers, backgrounds = by_dns(names, live, clock)
        return await analyze(readers, now=clock.now(), backgrounds=backgrounds, collectors=[live.collect])


def analysis(world: World, *names: str) -> Analysis:
    return asyncio.run(looked_at(world, names))


def only(found: Analysis, id: str) -> Finding:
    hits = [one for one in found.findings if one.id == id]
    assert len(hits) == 1, [one.title for one in found.findings]
    return hits[0]


def test_a_sound_domain_has_nothing_grave(internet: World) -> None:
    found = analysis(internet, "good.example")
    assert {one.id for one in found.findings if one.severity in ("critical", "high")} == set()
    assert {one.id for one in found.findings} <= EXPECTED | {"CAA-ACCT", "MAIL-MTASTS", "PERF-V6"}
    untested = {entry.id for entry in found.not_tested}
    assert not {"DNS-LAME", "DNS-DELEG-DIFF", "SEC-DNSSEC-NONE", "MAIL-SPF-LOOKUPS", "DNS-NS-TCP"} & untested


@pytest.mark.parametrize(
    ("name", "id", "severity", "evidence"),
    [
        ("alone.example", "DNS-NS-FEW", "medium", {"nameservers": ["ns1.alone.example"], "addresses": [NSD]}),
        ("lame.example", "DNS-LAME", "high", {"host": "ns2.lame.example"}),
        ("dated.example", "DNS-SERIAL", "low", {"allowed_s": 18000}),
        ("filtered.example", "DNS-NS-TCP", "medium", {"answer": "failed", "why": "connection refused over TCP"}),
        ("expired.example", "SEC-DNSSEC-BOGUS", "critical", {}),
        ("bogus.example", "SEC-DNSSEC-BOGUS", "critical", {}),
        ("soon.example", "SEC-DNSSEC-SOON", "high", {}),
        ("soon.example", "SEC-DNSSEC-ALG", "medium", {}),
        ("salted.example", "SEC-NSEC3", "low", {"iterations": 5, "salt": "aabb"}),
        ("secret.example", "SEC-DNSSEC-NONE", "medium", {}),
        ("odd.example", "DNS-SOA", "info", {}),
        ("open.example", "DNS-AXFR", "high", {}),
        ("open.example", "DNS-OPEN-REC", "medium", {"values": ["198.41.0.4"]}),
    ],
)
def test_a_fault_is_found_with_its_evidence(
    internet: World, name: str, id: str, severity: str, evidence: dict[str, object]
) -> None:
    finding = only(analysis(internet, name), id)
    assert finding.severity == severity
    assert evidence.items() <= dict(finding.evidence).items()
    assert any(key in finding.evidence for key in ("at", "servers"))


def test_servers_that_differ_are_at_fault_only_when_a_later_look_finds_the_same_one_behind(
    internet: World, tmp_path: Path
) -> None:
    store = StoredMeasurements(FileDocuments(Directory(tmp_path)))

    async def look(later: timedelta) -> tuple[list[Finding], str | None]:
        now = datetime.now(UTC) + later
        async with survey(internet) as found:
            zone = Zone.of("serial.example", "NONE", ())
            facts = await with_live_dns([Facts(zone, now, None, Background(source="dns", is_whole=False))], found)
        findings, untested = examine((await with_history(facts, store, now))[0])
        whys = {entry.id: entry.why for entry in untested}
        return [one for one in findings if one.id == "DNS-SERIAL"], whys.get("DNS-SERIAL")

    for later in (timedelta(), timedelta(hours=4, minutes=59)):
        found, why = asyncio.run(look(later))
        assert not found
        assert why is not None
        assert why.startswith(f"in part: ns1.serial.example ({NSD}:")
    (one,), why = asyncio.run(look(timedelta(hours=5, minutes=1)))
    assert why is None
    assert list(one.evidence["behind"]) == [f"ns1.serial.example ({NSD}:{internet.port})"]
    assert sorted(one.evidence["serials"].values()) == [1, 7]


def test_an_expired_signature_and_a_wrong_ds_are_told_apart(internet: World) -> None:
    expired = only(analysis(internet, "expired.example"), "SEC-DNSSEC-BOGUS")
    assert all("expired at 2024-02-01T00:00:00+00:00" in why for why in expired.evidence["why"])
    assert {why.split(" ")[0] for why in expired.evidence["why"]} == {"ns1.expired.example", "ns2.expired.example"}
    wrong = only(analysis(internet, "bogus.example"), "SEC-DNSSEC-BOGUS")
    assert all("fits a DS of the parent" in why for why in wrong.evidence["why"])
    assert wrong.evidence["ds"][0][3] == "00" * 32


def test_a_valid_chain_is_valid_and_a_signed_zone_without_ds_says_so(internet: World) -> None:
    sound = analysis(internet, "signed.example")
    assert not [one for one in sound.findings if one.id.startswith("SEC-")]
    assert not [entry for entry in sound.not_tested if entry.id.startswith("SEC-")]
    signed = only(analysis(internet, "secret.example"), "SEC-DNSSEC-NONE")
    assert len(signed.evidence["keys"]) == 1
    assert "signed already" in signed.help


def test_signatures_are_judged_at_the_time_given_by_the_clock(internet: World) -> None:
    class Later(SystemClock):
        def now(self) -> datetime:
            return datetime(2031, 1, 1, tzinfo=UTC)

    async def verdict() -> str:
        async with DnsSurvey(Later(), [Party("127.0.0.1", internet.resolver.port)], port=internet.port) as found:
            return (await found.survey(Wanted("signed.example"))).dnssec.verdict

    assert asyncio.run(verdict()) == "bogus"


def test_parent_and_zone_differ_in_servers_and_glue(internet: World) -> None:
    found = [one for one in analysis(internet, "differs.example").findings if one.id == "DNS-DELEG-DIFF"]
    sets = next(one for one in found if "server" in one.evidence)
    assert sets.evidence["parent"] == ["ns1.differs.example", "ns2.differs.example"]
    assert sets.evidence["zone"] == ["ns1.differs.example", "ns3.differs.example"]
    glue = next(one for one in found if "host" in one.evidence)
    assert (glue.evidence["parent"], glue.evidence["zone"]) == ([KNOT], [NSD])


def test_a_zone_that_is_handed_out_is_known_whole(internet: World) -> None:
    found = analysis(internet, "open.example")
    transfer = only(found, "DNS-AXFR")
    assert transfer.evidence["server"].startswith(f"ns2.open.example ({BIND}:")
    assert not [entry for entry in found.not_tested if "cannot be listed" in entry.why]
    assert "A secret" not in str(transfer.evidence)


def test_a_domain_that_nobody_serves_is_an_error_that_says_why(internet: World) -> None:
    with pytest.raises(Unreachable, match=r"ns1\.nowhere\.example .*REFUSED"):
        analysis(internet, "nowhere.example")
    with pytest.raises(Unreachable, match="not registered"):
        analysis(internet, "missing.example")
    with pytest.raises(Unreachable, match=r"a name inside good\.example"):
        analysis(internet, "long.good.example")
    with pytest.raises(Unreachable, match=r"an alias of good\.example"):
        analysis(internet, "www.good.example")


def test_several_domains_are_looked_at_together(internet: World) -> None:
    found = analysis(internet, "good.example", "lame.example", "nowhere.example")
    assert found.targets == ("dns:good.example", "dns:lame.example")
    assert "REFUSED" in {entry.id: entry.why for entry in found.not_tested}["dns:nowhere.example"]
    assert only(found, "DNS-LAME").target == "dns:lame.example"


# -- a zone whose rows are known -----------------------------------------------------------------------------------------


def known_rows(world: World, zone: str, *rows: str, extra: Sequence[Record] = (), drop: str = "") -> Facts:
    text = zone_text(zone, *rows, hosts=HEALTHY)
    file = parse_zone_file(text, zone)
    records = [row for row in (*file.zone.records, *extra) if row.name != drop]
    facts = Facts(Zone.of(zone, "MX", records), SystemClock().now(), None, Background(source="api"))

    async def collected() -> Facts:
        async with survey(world) as found:
            return (await with_live_dns([facts], found))[0]

    return asyncio.run(collected())


def test_what_points_outside_is_followed(internet: World) -> None:
    found, untested = examine(known_rows(internet, "faulty.example", *FAULTY))
    by_id: dict[str, list[Finding]] = {}
    for one in found:
        by_id.setdefault(one.id, []).append(one)
    gone = {one.title.split(",")[0] for one in by_id["DNS-DANGLE-NX"]}
    assert gone == {
        "CNAME shop points at shop.free-name.test.",
        "MX @ points at mx.gone.test.",
        "the SPF record of @ includes _spf.gone.test",
        "DMARC reports of _dmarc go to gone.test",
    }
    assert {one.severity for one in by_id["DNS-DANGLE-NX"]} == {"critical"}
    assert by_id["DNS-DANGLE-SVC"][0].evidence["service"] == "Microsoft Azure"
    assert by_id["DNS-MX-CNAME"][0].evidence["aliases"] == ["mx.hoster.test."]
    assert {one.evidence["host"] for one in by_id["DNS-MX-NOADDR"]} == {"none.hoster.test.", "mx.gone.test."}
    assert by_id["DNS-CNAME-LOOP"][0].evidence["path"][:2] == ["loop", "loop.hoster.test."]
    assert [one.evidence["question"] for one in by_id["DNS-SPECIAL-IP"] if one.evidence["block"] == "private"] == [
        "inside.hoster.test A"
    ]
    assert by_id["PERF-CHAIN"][0].evidence["hops"] == ["one.hoster.test.", "two.hoster.test.", "three.hoster.test."]
    (lookups,) = by_id["MAIL-SPF-LOOKUPS"]
    assert lookups.evidence["at_least"] == 13  # two includes with eight below one of them, three a
    assert {"term": "include:_deep.hoster.test", "lookups": 9} in lookups.evidence["terms"]
    assert by_id["MAIL-SPF-VOID"][0].evidence["terms"] == [
        "include:_spf.gone.test", "a:void1.hoster.test", "a:void2.hoster.test", "a:void3.hoster.test",
    ]  # fmt: skip
    assert [one.evidence["host"] for one in by_id["MAIL-DMARC-EXT"]] == ["reports.test"]
    assert by_id["DNS-DANGLE-NS"][0].evidence["servers"][0]["host"] == "ns1.faulty.example"
    assert not {"DNS-DANGLE-NX", "MAIL-SPF-LOOKUPS", "DNS-CNAME-LOOP"} & {entry.id for entry in untested}


def test_rows_that_the_servers_do_not_answer_are_drift_and_sound_ones_are_not(internet: World) -> None:
    extra = [Record("www2", "A", "185.199.108.1", 300), Record("@", "TXT", "only here", 300)]
    found = [
        one for one in examine(known_rows(internet, "good.example", *GOOD, extra=extra))[0] if one.id == "DNS-DRIFT"
    ]
    assert {(one["name"], one["type"]) for drift in found for one in drift.evidence["records"]} == {
        ("www2", "A"),
        ("@", "TXT"),
    }
    assert {one.evidence["live"] == [] for one in found} == {True, False}
    sound = examine(known_rows(internet, "good.example", *GOOD))
    assert "DNS-DRIFT" not in {one.id for one in sound[0]} | {entry.id for entry in sound[1]}


def test_a_long_answer_comes_over_tcp(internet: World) -> None:
    async def values() -> tuple[str, ...]:
        async with survey(internet) as found:
            _, probed = await found.servers("good.example")
            server = best(probed)
            assert server is not None
            return (await found.ask("good.example", server, [("long", "TXT")]))["long", "TXT"].values

    assert asyncio.run(values()) == (LONG * 8,)


def test_each_question_is_asked_once(internet: World) -> None:
    internet.resolver.asked.clear()
    analysis(internet, "good.example", "faulty.example", "alone.example")
    twice = {one for one in internet.resolver.asked if internet.resolver.asked.count(one) > 1}
    assert twice == set()


def test_a_name_of_any_octets_is_asked_and_read(internet: World) -> None:
    async def statuses() -> list[str]:
        async with survey(internet) as found:
            names = [f"\\{n:03d}.good.example" for n in range(256)] + [
                "a\\.b.good.example",
                "x" * 64,
                "a..b",
                "*.good.example",
                "ü.test",
            ]
            answers = await found.look_up([Question(name, "A") for name in names])
            return [answers[Question(name, "A")].status for name in names]

    found = asyncio.run(statuses())
    assert set(found[:257]) == {"nxdomain"}
    assert found[257:259] == ["failed", "failed"]
    assert found[259:] == ["nxdomain", "nxdomain"]
