"""Checks of what makes names slow to resolve or changes slow to arrive. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from statistics import median

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, listed, mend, set_ttl
from sophia_cli.checks.outside import known
from sophia_cli.checks.ttl import better, steady_ttl
from sophia_cli.core.dns import APEX, TTL_RANGE, Record
from sophia_cli.core.dns_facts import Answer, Question
from sophia_cli.core.findings import Finding

SHORT = 300  # seconds
LONG = 3600
QUIET = timedelta(days=30)
HOPS = 2
SLOW_MS, RATIO, NOISE_MS = 100, 3, 20  # below 20 ms a ratio says more about this machine than about the server
_WEB = (APEX, "www")


def ttl_low(facts: Facts) -> Iterator[Finding]:
    """Short TTLs make every visitor wait for a look-up; they are for the days of a change."""
    rows = [row for row in facts.zone.records if _is_short(row) and not _changed_lately(facts, row)]
    if not rows:
        return
    ttl = steady_ttl(facts)
    yield finding(
        facts, "PERF-TTL-LOW", f"a TTL below {SHORT} seconds at {listed(rows)}", rows,
        f"Use {ttl} seconds unless a change is coming.", history="known" if facts.background.changed is not None else "not known",
        fix=mend(
            facts, "PERF-TTL-LOW", f"{ttl} seconds for names that do not change",
            *(set_ttl(row, better(facts, row, ttl)) for row in rows),
        ),
    )  # fmt: skip


def _is_short(row: Record) -> bool:
    """Below the range is DNS-TTL-RANGE's business."""
    return row.ttl is not None and TTL_RANGE[0] <= row.ttl < SHORT and not row.name.startswith("_acme-challenge")


def _changed_lately(facts: Facts, row: Record) -> bool:
    when = (facts.background.changed or {}).get(row.key)
    return when is not None and facts.now - when < QUIET


def ttl_high(facts: Facts) -> Iterator[Finding]:
    """A planned change arrives only after the old TTL has run out; lower it first."""
    if facts.desired is None or facts.desired.unknown:
        return
    wanted: dict[tuple[str, str], set[str]] = {}
    for row in facts.desired.records:
        wanted.setdefault((row.record.name, row.record.type), set()).add(row.record.value)
    rows = [
        row
        for row in facts.zone.records
        if row.ttl is not None
        and row.ttl > LONG
        and row.type in ("A", "AAAA", "CNAME", "ALIAS")
        and row.value not in wanted.get((row.name, row.type), {row.value})
    ]
    if rows:
        yield finding(
            facts, "PERF-TTL-HIGH", f"a change is planned at {listed(rows)}, and its TTL is above {LONG} seconds", rows,
            f"Lower the TTL to {SHORT} now, make the change when the old TTL has run out, and raise it again.",
            fix=mend(facts, "PERF-TTL-HIGH", "a change is planned there", *(set_ttl(row, SHORT) for row in rows)),
        )  # fmt: skip


def nothing_planned(facts: Facts) -> str | None:
    """Why planned changes are not known; None when they are."""
    return "no environment says what is planned for this zone" if facts.desired is None else None


def chain(facts: Facts) -> Iterator[Finding]:
    """Each alias on the way may cost a look-up of its own."""
    middles = {facts.names.inside(row.value) for row in facts.zone.records if row.type == "CNAME"}
    for name in sorted(facts.names.rows.keys() - middles):
        met, loops = facts.names.chain(name)
        rows = [row for row in met if row.type == "CNAME"]
        if loops or not rows:
            continue
        told = known(facts, Question(rows[-1].value.rstrip("."), "A")) if met[-1] is rows[-1] else None
        behind = told if isinstance(told, Answer) and told.chain and told.status != "failed" else None
        hops = [*(row.value for row in rows), *(behind.chain if behind is not None else ())]
        if len(hops) > HOPS:
            yield finding(
                facts, "PERF-CHAIN", f"{name} goes over {len(hops)} CNAMEs", rows,
                f"Point {name} at {hops[-1]} directly." if behind is None
                else f"Point {name} nearer to {hops[-1]}, if the service allows it.", hops=hops,
                **({} if behind is None else behind.data()),
            )  # fmt: skip


def slow_servers(facts: Facts) -> Iterator[Finding]:
    """Resolvers try every server in turn, so the slowest one is what some visitors wait for."""
    live = facts.background.dns
    times = (
        {server.label: median(server.rtt_ms) for server in live.answering if server.rtt_ms} if live is not None else {}
    )
    if live is None or not times:
        return
    best, slowest = min(times.values()), max(times.values())
    if slowest > SLOW_MS or (slowest > RATIO * best and slowest > NOISE_MS):
        label = next(label for label, took in times.items() if took == slowest)
        yield finding(
            facts, "PERF-DNS-RTT", f"{label} takes {slowest:.0f} ms, the quickest server {best:.0f} ms", (),
            "Seen from here; from elsewhere it may be the other way round.",
            median_ms=dict(sorted(times.items())), at=live.at.isoformat(),
        )  # fmt: skip


def no_ipv6(facts: Facts) -> Iterator[Finding]:
    """Web names with an IPv4 address only."""
    rows = [
        row
        for name in _WEB
        for row in facts.names.at(name, "A")
        if not any(other.type in ("AAAA", "ALIAS") for other in facts.names.at(name))
    ]
    if rows:
        yield finding(
            facts, "PERF-V6", f"no IPv6 address at {', '.join(dict.fromkeys(row.name for row in rows))}", rows,
            "If the server has an IPv6 address, add it: sophia record set @ AAAA ADDRESS", severity="info",
        )  # fmt: skip
