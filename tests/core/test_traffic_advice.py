"""What a log suggests: each proposal with its numbers, the changes it needs and what the provider cannot do."""

from __future__ import annotations

from datetime import UTC, datetime

from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.traffic import Entry, Regions, Tally, Traffic
from sophia_cli.core.traffic_advice import Advice, advise

START = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
REGIONS = Regions([("10.0.0.0/8", "eu"), ("11.0.0.0/8", "us")])
WWW = Record("www", "A", "203.0.113.7", 300)
ZONE = Zone.of("acme.example", "NONE", [WWW, Record("@", "A", "203.0.113.7", 300), Record("www", "TXT", "x", 300)])


def queries(count: int, name: str = "www.acme.example", days: float = 1.0, client: str = "10.0.0.1") -> Traffic:
    tally = Tally(REGIONS)
    for n in range(count):
        tally.add(Entry("query", name, START + n * days * 86_400 / (count - 1), client, "A"))
    return tally.traffic()


def requests(
    eu: int, us: int = 0, *, static: int = 0, name: str = "www.acme.example", per_minute: int = 100
) -> Traffic:
    tally = Tally(REGIONS)
    for n in range(eu + us):
        client = "10.0.0.1" if n < eu else "11.0.0.1"
        tally.add(Entry("request", name, START + n // per_minute * 60, client, "200", n % (eu + us) < static))
    return tally.traffic()


def only(found: tuple[Advice, ...]) -> Advice:
    assert len(found) == 1
    return found[0]


def test_a_busy_name_with_a_short_ttl_gets_a_longer_one() -> None:
    advice = only(advise(queries(10_000), (ZONE,)))
    assert (advice.kind, advice.name) == ("ttl", "www.acme.example")
    assert "10000 queries a day at a TTL of 300 s" in advice.why
    assert advice.changes == ((WWW, Record("www", "A", "203.0.113.7", 3600)),)


def test_a_quiet_name_a_long_ttl_and_a_short_log_get_none() -> None:
    assert advise(queries(4_000), (ZONE,)) == ()
    assert advise(queries(10_000, days=0.5), (ZONE,)) == ()
    long = Zone.of("acme.example", "NONE", [Record("www", "A", "203.0.113.7", 1800)])
    assert advise(queries(10_000), (long,)) == ()


def test_a_peak_on_one_address_gets_a_second_and_the_honest_note() -> None:
    advice = only(advise(requests(7_000, per_minute=7_000), (ZONE,)))
    assert advice.kind == "round-robin"
    assert "7000 requests a minute" in advice.why
    assert [after.value for _, after in advice.changes if after is not None] == ["SECOND-ADDRESS"]
    assert "without health checks" in (advice.note or "") or "without weights and without health checks" in (
        advice.note or ""
    )
    two = Zone.of("acme.example", "NONE", [WWW, Record("www", "A", "203.0.113.8", 300)])
    assert advise(requests(7_000, per_minute=7_000), (two,)) == ()
    assert advise(requests(7_000), (ZONE,)) == ()


def test_files_that_are_the_same_for_all_go_to_a_cdn_by_alias_at_the_apex() -> None:
    advice = only(advise(requests(800, 400, static=700), (ZONE,)))
    assert (advice.kind, advice.inputs["static_share"]) == ("cdn", 0.583)
    assert "33% come from other regions than eu" in advice.why
    assert advice.changes == ((WWW, None), (None, Record("www", "CNAME", "CDN-HOST.", 300)))
    apex = only(advise(requests(1200, static=1200, name="acme.example"), (ZONE,)))
    assert apex.changes[-1][1] == Record("@", "ALIAS", "CDN-HOST.", 300)
    assert "ALIAS" in (apex.note or "")


def test_far_visitors_get_answers_by_region_which_basicdns_cannot_give() -> None:
    advice = only(advise(requests(800, 400), (ZONE,)))
    assert (advice.kind, advice.inputs["regions"]) == ("geo-dns", {"eu": 0.667, "us": 0.333})
    assert "cannot answer by region" in (advice.note or "")
    created = [after for before, after in advice.changes if before is None and after is not None]
    assert {row.type for row in created} == {"NS"}
    assert {before.type for before, _ in advice.changes if before is not None} == {
        "A",
        "TXT",
    }  # NS takes the whole name
    assert only(advise(requests(800, 400, name="acme.example"), (ZONE,))).changes == ()
    assert advise(requests(1000, 200), (ZONE,)) == ()


def test_names_of_other_zones_are_left_and_without_zones_no_records_are_invented() -> None:
    assert advise(requests(800, 400, name="other.net"), (ZONE,)) == ()
    advice = only(advise(requests(800, 400, name="other.net")))
    assert (advice.kind, advice.changes) == ("geo-dns", ())
