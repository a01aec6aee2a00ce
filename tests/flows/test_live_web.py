"""Live web, from a zone to findings: real servers on loopback, each address asked once, what was not seen never passed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.checks.registry import examine
from sophia_cli.checks.tls_mail import is_enforced
from sophia_cli.checks.web import policy_wish, wishes
from sophia_cli.cli.clock import SystemClock
from sophia_cli.cli.live_dns import Live
from sophia_cli.cli.live_web import web_collectors
from sophia_cli.core.errors import StateError
from sophia_cli.core.trends import Sample, Series
from sophia_cli.core.web_facts import Fetch, Hop, Reach, Times, Visit, Visits
from sophia_cli.flows.live_web import with_history, with_web
from sophia_cli.store.directory import Directory
from sophia_cli.store.documents import FileDocuments
from sophia_cli.store.measurements import StoredMeasurements
from tests.checks.check_cases import GOOD_DMARC, MAIL, NOW, STS, a, cname, facts, mx, row, txt
from tests.checks.web_cases import ENDPOINT, PAGE, POLICY, POLICY_URL, SECURE, TO_HTTPS, served, visited, watching
from tests.providers.web_servers import PUBLIC, answer, certificate, listening, probe, says

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Told:
    """A port that answers from a table, and remembers what it was asked."""

    def __init__(self, *visits: Visit) -> None:
        self.visits = {visit.url: visit for visit in visits}
        self.asked: list[Fetch] = []

    async def visit_all(self, fetches: tuple[Fetch, ...]) -> Visits:
        self.asked += fetches
        return {fetch.url: self.visits[fetch.url] for fetch in fetches if fetch.url in self.visits}


def why_not(known: Facts) -> dict[str, str]:
    return {entry.id: entry.why for entry in examine(known)[1]}


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_the_apex_www_and_other_web_names_are_asked_on_both_ports() -> None:
    rows = (
        a(),
        a("www"),
        a("shop"),
        a("mail"),
        a("mx9"),
        mx("box.acme.example."),
        a("box"),
        a("*"),
        a("_x"),
        txt("t", "note"),
    )
    urls = [fetch.url for fetch in wishes(facts(*rows))]
    names = [url.split("/")[2].removesuffix("acme.example") for url in urls if url.startswith("http://")]
    assert names == ["", "www.", "shop."]
    assert [url for url in urls if "security.txt" in url] == [
        "https://acme.example/.well-known/security.txt", "https://www.acme.example/.well-known/security.txt"
    ]  # fmt: skip


def test_many_names_are_bounded_and_the_apex_is_among_them() -> None:
    urls = {fetch.url for fetch in wishes(facts(*(a(f"h{n:04d}") for n in range(5000)), a("www"), a()))}
    assert {"http://acme.example/", "https://www.acme.example/", "https://h0000.acme.example/"} <= urls
    assert len(urls) < 50


def test_a_policy_is_fetched_without_redirects_and_only_where_it_is_announced() -> None:
    (policy,) = [fetch for fetch in wishes(facts(STS, a("mta-sts"), *MAIL)) if "mta-sts" in fetch.url]
    assert (policy.url, policy.follow) == ("https://mta-sts.acme.example/.well-known/mta-sts.txt", False)
    assert not [fetch for fetch in wishes(facts(a("mta-sts"), *MAIL)) if "mta-sts" in fetch.url]
    logos = wishes(
        facts(
            txt("v=BIMI1; l=https://x.net/a.svg", "default._bimi"),
            txt("v=BIMI1; l=ftp://x.net/", "b._bimi"),
            GOOD_DMARC,
        )
    )
    assert [fetch.url for fetch in logos] == ["https://x.net/a.svg"]


def test_only_configured_endpoints_may_lie_in_a_private_network() -> None:
    fetches = wishes(facts(a(value="10.0.0.1"), settings=watching("http://10.0.0.1/health")))
    assert {fetch.url for fetch in fetches if fetch.trusted} == {"http://10.0.0.1/health"}


# -- from servers to findings ------------------------------------------------------------------------------------------


def test_a_poor_web_server_is_seen_as_it_is(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "acme.example")
    page = answer(200, b"<html>" + b"x" * 4000, Content_Type="text/html", Set_Cookie="sid=hunter2")

    async def scene() -> list[Facts]:
        async with listening(says(page)) as plain, listening(says(page), tls=server) as tls:
            port = probe({"acme.example": [PUBLIC]}, {80: plain, 443: tls}, context=trusting)
            return await with_web([facts(a(value=PUBLIC))], port)

    (known,) = run(scene())
    found = {finding.id: finding for finding in examine(known)[0]}
    assert {"WEB-HTTPS", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT", "PERF-HTTP"} <= set(found)
    assert found["PERF-HTTP"].evidence["pages"][0]["wanting"] == ["no HTTP/2", "no compression", "no cache validators"]
    assert "hunter2" not in str([finding.data() for finding in found.values()])
    assert not {"WEB-HTTPS", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT"} & set(why_not(known))


def test_the_way_over_http_that_hsts_saves_is_measured(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "acme.example")
    away = answer(301, b"", Location=SECURE)

    async def scene() -> list[Facts]:
        async with listening(says(away)) as plain, listening(says(answer(200, b"x")), tls=server) as tls:
            port = probe({"acme.example": [PUBLIC]}, {80: plain, 443: tls}, context=trusting)
            return await with_web([facts(a(value=PUBLIC))], port)

    (known,) = run(scene())
    evidence = next(one.evidence for one in examine(known)[0] if one.id == "WEB-HSTS")
    assert evidence["before"]["bytes"] == len(away)
    assert evidence["before"]["ms"] > 0
    assert evidence["after"] == {"bytes": 0, "ms": 0.0}


def test_an_address_that_two_zones_want_is_asked_once() -> None:
    port = Told(Visit(ENDPOINT, (Hop(ENDPOINT, 200),)))
    one = facts(a(), settings=watching(ENDPOINT))
    run(with_web([one, one], port))
    assert len({fetch.url for fetch in port.asked}) * 2 == len(port.asked)  # the probe itself asks each once


# -- what was not seen -------------------------------------------------------------------------------------------------


def test_nobody_asked_is_not_tested() -> None:
    (known,) = run(with_web([facts(a())], Told()))
    assert known.background.http is None
    assert why_not(known)["WEB-HSTS"] == "needs an HTTP answer"


def test_a_silent_server_is_not_tested_and_has_no_finding() -> None:
    gone = [Visit(url, failure="acme.example does not resolve") for url in ("http://acme.example/", SECURE)]
    known = visited(*gone)
    whys = why_not(known)
    assert whys["WEB-HTTPS"] == "acme.example gave no answer: acme.example does not resolve"
    assert whys["WEB-HSTS"] == "acme.example over https: acme.example does not resolve"
    assert whys["PERF-HTTP"] == whys["WEB-HSTS"]
    assert not {one.id for one in examine(known)[0]} & {
        "WEB-HTTPS",
        "WEB-HSTS",
        "WEB-HEADERS",
        "WEB-SECTXT",
        "PERF-HTTP",
    }


def test_one_silent_server_of_two_is_tested_in_part() -> None:
    known = visited(PAGE, TO_HTTPS, Visit("https://www.acme.example/", failure="down"), rows=(a(), a("www")))
    assert why_not(known)["WEB-HSTS"] == "in part: www.acme.example over https: down"
    assert why_not(known)["WEB-HTTPS"] == "in part: www.acme.example gave no answer: down"


def test_a_zone_without_web_names_needs_no_answer() -> None:
    known = visited(rows=MAIL)
    assert not {"WEB-HTTPS", "WEB-HSTS", "WEB-HEADERS", "WEB-SECTXT", "PERF-HTTP"} & set(why_not(known))


def test_a_machine_without_ipv6_never_says_that_ipv6_is_dead() -> None:
    reach = (Reach(4, PUBLIC, 0.01), Reach(6, "2606:50c0:8000::153", None, "network is unreachable", False))
    page = Visit(SECURE, (Hop(SECURE, 200),), reach=reach)
    known = visited(page, rows=(a(), row("@", "AAAA", "2606:50c0:8000::153")))
    assert why_not(known)["PERF-V6"].startswith("in part: this machine has no IPv6 route")


def test_a_name_behind_a_service_keeps_its_page_for_the_takeover_check() -> None:
    fetches = {fetch.url: fetch for fetch in wishes(facts(cname("shop", "x.github.io.")))}
    assert fetches["http://shop.acme.example/"].keep > 1000
    assert fetches["https://shop.acme.example/"].keep > 1000


# -- history -----------------------------------------------------------------------------------------------------------


def timed(seconds: float) -> Facts:
    return visited(Visit(SECURE, (Hop(SECURE, 200),), times=Times(0.0, 0.0, 0.0, seconds, seconds), protocol="h2"))


def test_measurements_are_kept_until_they_can_tell_a_regression(tmp_path: Path) -> None:
    store = StoredMeasurements(FileDocuments(Directory(tmp_path)))
    when = datetime(2026, 11, 1, tzinfo=UTC)
    titles: list[str] = []
    for n, seconds in enumerate([0.2] * 12 + [0.6] * 3):
        (known,) = run(with_history([timed(seconds)], store, when + timedelta(hours=n)))
        titles = [one.title for one in examine(known)[0] if one.id == "PERF-HTTP" and "slower" in one.title]
        told = why_not(known).get("PERF-HTTP")
        assert (told is not None) is (n < 7), told
        assert bool(titles) is (n == 14)
    assert titles == [f"slower than in the last good period: {SECURE}"]


def test_an_address_without_an_answer_adds_no_measurement(tmp_path: Path) -> None:
    store = StoredMeasurements(FileDocuments(Directory(tmp_path)))
    (known,) = run(with_history([visited(Visit(SECURE, failure="down"))], store, NOW))
    assert known.background.history == {}


class Broken:
    """A state that cannot be used."""

    async def add(self, target: str, samples: Mapping[str, Sample]) -> None:
        raise StateError("the disk is full")

    async def of(self, target: str) -> Mapping[str, Series]:
        raise StateError("the disk is full")


def test_a_state_that_cannot_be_written_leaves_history_out_and_nothing_else() -> None:
    (known,) = run(with_history([timed(0.2)], Broken(), NOW))
    assert known.background.history is None
    assert why_not(known)["PERF-HTTP"] == "in part: a trend needs 8 measurements, and 0 are kept"


def test_backgrounds_stay_otherwise_as_they_were() -> None:
    before = facts(a(), background=Background(source="dns", repeated=(a("x"),)))
    (after,) = run(with_web([before], Told(PAGE)))
    assert (after.background.source, after.background.repeated, after.zone) == ("dns", (a("x"),), before.zone)


def test_the_ssl_specialist_alone_asks_for_the_mail_policy_and_nothing_else() -> None:
    survey: Any = None  # nobody is looked up before somebody is asked
    port = Told(served(POLICY_URL, POLICY))
    (known,) = run(with_web([facts(*MAIL, STS)], port, policy_wish))
    assert [fetch.url for fetch in port.asked] == [POLICY_URL]
    assert is_enforced(known)
    alone, both = (web_collectors(SystemClock(), who, Live(survey)) for who in (["ssl"], ["ssl", "security"]))
    assert [one.policy_only for one in (*alone, *both)] == [True, False]
    assert web_collectors(SystemClock(), ["dns"], Live(survey)) == []
