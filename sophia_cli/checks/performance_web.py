"""Checks of how fast web names answer, now and against what was normal, and how well they are set. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from statistics import median
from typing import Any

from sophia_cli.checks import serials
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.performance import no_ipv6, slow_servers
from sophia_cli.checks.web import endpoints, rows_of, sites, unseen_secure, web_names
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.trends import LEAST_SAMPLES, Sample, regression, trend
from sophia_cli.core.web_facts import Visit, host_of, shown_url

SLOW_S = 2.0  # an endpoint's whole first answer
MOST_REDIRECTS = 1
SMALLEST_PACKED = 1024  # bytes; packing less than a packet's worth gains nothing
_TEXTS = ("text/", "application/javascript", "application/json", "application/xml", "image/svg+xml")


def http(facts: Facts) -> Iterator[Finding]:
    """Endpoints that do not answer or are slow, what became slower, and settings that cost every visitor time."""
    yield from _endpoints(facts)
    yield from _slower(facts)
    yield from _settings(facts)


def answer_s(visit: Visit) -> float | None:
    """The time to the first answer's first byte, look-up, connection and TLS included (seconds)."""
    if visit.times.first_byte_s is None:
        return None
    steps = (visit.times.dns_s, visit.times.connect_s, visit.times.tls_s, visit.times.first_byte_s)
    return sum(step for step in steps if step is not None)


def measured(facts: Facts) -> dict[str, Visit]:
    """The visits whose times are kept: every configured endpoint, and every web name over https."""
    visits = facts.background.http or {}
    urls = [*endpoints(facts), *(f"https://{site.host}/" for site in sites(facts))]
    return {url: visits[url] for url in dict.fromkeys(urls) if url in visits}


def samples(facts: Facts, now: datetime) -> dict[str, Sample]:
    """What was measured this time, by series: `web URL` for answers, `dns SERVER` and `serial SERVER` for name servers."""
    found = {}
    for url, visit in measured(facts).items():
        took_s = answer_s(visit)
        if took_s is not None:
            found[series_name(url)] = Sample(now, took_s)
    for label, took_ms in server_times(facts).items():
        found[f"dns {label}"] = Sample(now, took_ms / 1000)
    return found | (serials.samples(facts, now) if facts.background.dns is not None else {})


def server_times(facts: Facts) -> dict[str, float]:
    """The median answer time of each of the zone's own servers (milliseconds)."""
    live = facts.background.dns
    return {server.label: median(server.rtt_ms) for server in live.answering if server.rtt_ms} if live else {}


def resolution(facts: Facts) -> Iterator[Finding]:
    """Name servers that are slow, and those that became slower than they were."""
    yield from slow_servers(facts)
    worse = [
        {"server": label, **data} for label in server_times(facts) for data in [_change(facts, f"dns {label}")] if data
    ]
    if worse:
        yield finding(
            facts, "PERF-DNS-RTT", f"{worse[0]['server']} answers slower than in the last good period", (),
            "Seen from here: the way there may have changed rather than the server.", servers=worse,
        )  # fmt: skip


def _change(facts: Facts, series: str) -> dict[str, Any] | None:
    """How a series left what was normal, or rises; None when it did not."""
    known = (facts.background.history or {}).get(series, ())
    left, rise = regression(known), trend(known)
    if left is not None:
        return {"regression": left.data()}
    return None if rise is None else {"trend": rise.data()}


def _endpoints(facts: Facts) -> Iterator[Finding]:
    visits = facts.background.http or {}
    for url in endpoints(facts):
        visit = visits.get(url)
        if visit is None:
            continue
        shown, rows = shown_url(url), _rows(facts, url)
        if not visit.is_answered or (visit.status or 0) >= 500:
            why = visit.failure or f"status {visit.status}"
            yield finding(
                facts, "PERF-HTTP", f"{shown} does not answer: {why}", rows,
                "See whether the server runs and the name points at it.", severity="high",
                no_fix="the server needs a person", url=shown, why=why, times=visit.times.data(),
            )  # fmt: skip
    slow = {url: visit for url, visit in measured(facts).items() if (answer_s(visit) or 0) > SLOW_S}
    if slow:
        listed = ", ".join(shown_url(url) for url in list(slow)[:3])
        yield finding(
            facts, "PERF-HTTP", f"over {SLOW_S:g} s to the first byte: {listed}", _all_rows(facts, slow),
            "The longest of the steps below is where to look: look-up, connection, TLS, or the server itself.",
            severity="medium", no_fix="the server needs a person",
            endpoints=[{"url": shown_url(url), **visit.times.data()} for url, visit in slow.items()],
        )  # fmt: skip


def _slower(facts: Facts) -> Iterator[Finding]:
    changes = {url: _change(facts, series_name(url)) for url in measured(facts)}
    worse = [(url, {"url": shown_url(url), **data}) for url, data in changes.items() if data]
    if worse:
        listed = ", ".join(shown_url(url) for url, _ in worse[:3])
        yield finding(
            facts, "PERF-HTTP", f"slower than in the last good period: {listed}", _all_rows(facts, dict(worse)),
            "See what changed on the server, or on the way to it, at the time given.",
            severity="low", no_fix="the server needs a person", endpoints=[data for _, data in worse],
        )  # fmt: skip


def series_name(url: str) -> str:
    """The name of an endpoint's measurements; a query, which may be a secret, is not part of it."""
    return f"web {shown_url(url)}"


def _settings(facts: Facts) -> Iterator[Finding]:
    visits = facts.background.http or {}
    looked = [(site.secure, _wanting, rows_of(facts, [site.name])) for site in sites(facts) if site.secure is not None]
    looked += [(visits[url], _lacking, _rows(facts, url)) for url in endpoints(facts) if url in visits]
    pages: dict[str, tuple[list[Record], list[str]]] = {}
    for visit, judge, rows in looked:
        wanting = judge(visit) if visit.is_answered and (visit.status or 0) < 500 else []
        if wanting:
            pages.setdefault(visit.final_url, (rows, wanting))
    if pages:
        together = sorted({what for _, wanting in pages.values() for what in wanting})
        yield finding(
            facts, "PERF-HTTP", f"{', '.join(together)}: {', '.join(shown_url(url) for url in list(pages)[:3])}",
            list(dict.fromkeys(row for rows, _ in pages.values() for row in rows)),
            "Turn it on in the web server's settings; most have a line for each.",
            severity="low", pages=[{"url": shown_url(url), "wanting": wanting} for url, (_, wanting) in pages.items()],
        )  # fmt: skip


def _lacking(visit: Visit) -> list[str]:
    """What costs every visit time."""
    found = []
    if visit.redirects > MOST_REDIRECTS:
        found.append(f"{visit.redirects} redirects")
    if visit.protocol == "http/1.1" and visit.url.startswith("https://"):
        found.append("no HTTP/2")
    if (
        _is_text(visit)
        and visit.header("content-encoding") is None
        and (visit.cut or len(visit.body) > SMALLEST_PACKED)
    ):
        found.append("no compression")
    return found


def _wanting(visit: Visit) -> list[str]:
    """The same, and what costs visitors of pages who come back."""
    found = _lacking(visit)
    stored = "no-store" not in (visit.header("cache-control") or "").lower()
    if _is_text(visit) and stored and visit.header("etag") is None and visit.header("last-modified") is None:
        found.append("no cache validators")
    return found


def _is_text(visit: Visit) -> bool:
    return visit.status == 200 and (visit.header("content-type") or "").lower().startswith(_TEXTS)


def unseen(facts: Facts) -> str | None:
    """What was not asked, or not long enough measured to tell a trend."""
    visits = facts.background.http or {}
    unasked = [url for url in endpoints(facts) if url not in visits]
    if unasked:
        return f"in part: {shown_url(unasked[0])} was not asked"
    if not endpoints(facts) and web_names(facts):
        unread = unseen_secure(facts)
        if unread is not None:
            return unread
    series = [(facts.background.history or {}).get(series_name(url), ()) for url in measured(facts)]
    fewest = min((len(one) for one in series), default=LEAST_SAMPLES)
    if fewest < LEAST_SAMPLES:
        return f"in part: a trend needs {LEAST_SAMPLES} measurements, and {fewest} are kept"
    return None


# -- IPv6 ------------------------------------------------------------------------------------------------------------


def ipv6(facts: Facts) -> Iterator[Finding]:
    """Web names without an IPv6 address, and those that have one which does not answer."""
    yield from no_ipv6(facts)
    dead = []
    for site in sites(facts):
        reach = {one.family: one for one in site.secure.reach} if site.secure is not None else {}
        four, six = reach.get(4), reach.get(6)
        if four is not None and six is not None and four.failure is None and six.failure is not None and six.here:
            dead.append((site, six))
    if dead:
        names = [site.name for site, _ in dead]
        yield finding(
            facts, "PERF-V6", f"the IPv6 address does not answer: {', '.join(site.host for site, _ in dead[:3])}",
            [row for row in rows_of(facts, names) if row.type != "A"],
            "Let the server listen on IPv6, or take the AAAA record away: visitors with IPv6 wait for it in vain.",
            severity="medium", hosts=[{"host": site.host, "address": six.address, "why": six.failure} for site, six in dead],
        )  # fmt: skip


def ipv6_unseen(facts: Facts) -> str | None:
    """Why it could not be tried; None when it was, or when no name has an address to try."""
    if "H" not in facts.has:
        there = any(row.type == "AAAA" for row in rows_of(facts, web_names(facts)))
        return "in part: its IPv6 addresses were not tried" if there else None
    tried = [one for site in sites(facts) if site.secure is not None for one in site.secure.reach if one.family == 6]
    if any(not one.here for one in tried):
        return "in part: this machine has no IPv6 route, so IPv6 addresses were not tried"
    return None


def _rows(facts: Facts, url: str) -> list[Record]:
    name = facts.names.inside(host_of(url))
    return [] if name is None else rows_of(facts, [name])


def _all_rows(facts: Facts, urls: dict[str, Any]) -> list[Record]:
    return list(dict.fromkeys(row for url in urls for row in _rows(facts, url)))
