"""The threat rules as data, the logs they look at, and the form of what they find. Judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sophia_cli.core.findings import Finding, Severity
from sophia_cli.core.history import AuditEvent, Run, timestamp
from sophia_cli.core.provider_events import AUDIT, ProviderEvent, Source, source_of

VERSION = "1"
LOG = "audit:log"
LEARNING_DAYS = 14
LEARNING_EVENTS = 50
PROVIDER_EVENTS = 12  # a run leaves about four events in our own log, an update one in its engine's
HOUR_SHARE = 0.01
RATE_FLOOR = 10  # runs in an hour
DELETES = 3
DENIALS = 5
SHOWN = 10  # events, runs and rows that a finding names


@dataclass(frozen=True, slots=True)
class ThreatRule:
    """One rule: what it looks for, how bad that is, what harmless cause there may be, and what to do next."""

    id: str
    severity: Severity
    text: str
    harmless: str
    next: str
    learns: bool = False


RULES: tuple[ThreatRule, ...] = (
    ThreatRule("THREAT-LOG", "critical", "The hash chain of the log does not hold", "a state restored from a backup",
               "sophia audit verify names the place; compare with a head that an earlier run printed"),
    ThreatRule("THREAT-UNAPPROVED", "critical", "A run began although nobody, and no verdict, had agreed to its plan",
               "none is known", "sophia audit show --run RUN; undo it with sophia rollback RUN"),
    ThreatRule("THREAT-ORDER", "critical", "Out of order: a write outside a run or while frozen, an end before a test",
               "none is known", "sophia audit show; freeze the target until it is explained"),
    ThreatRule("THREAT-BEHIND", "medium", "Records or a stack were changed by somebody else than sophia",
               "a person used the provider's web console or command", "sophia plan shows what differs; ask who did it"),
    ThreatRule("THREAT-DESTRUCTIVE", "high",
               f"One actor made {DELETES} deletes or more, or took away MX, name servers, CAA or DMARC, within an hour",
               "a planned move", "sophia audit show --run RUN; undo it with sophia rollback RUN"),
    ThreatRule("THREAT-PROBE", "medium", f"A run was applied within an hour of {DENIALS} denied plans of the same actor",
               "a person narrowed a plan until it fitted the limits", "look at the plans: sophia audit show --by WHO"),
    ThreatRule("THREAT-ACTOR", "medium", "Somebody acted who never acted before", "a new colleague or a new CI job",
               "ask whether this person should have access", learns=True),
    ThreatRule("THREAT-HOST", "low", "A known actor acted from a machine or address not seen before", "a new laptop",
               "ask the person", learns=True),
    ThreatRule("THREAT-HOUR", "low", f"An actor worked at an hour with less than {HOUR_SHARE:.0%} of its earlier events",
               "an emergency, a journey", "ask the person", learns=True),
    ThreatRule("THREAT-RATE", "medium", f"Far more runs in an hour than this actor's median (at least {RATE_FLOOR})",
               "a migration, a loop in CI", "sophia audit show --by WHO; sophia freeze stops all writes", learns=True),
    ThreatRule("THREAT-CLOCK", "low", "An event is older than the one before it", "machines whose clocks differ",
               "set the clock of the machine"),
)  # fmt: skip
BY_ID = {rule.id: rule for rule in RULES}


@dataclass(frozen=True, slots=True)
class Log:
    """What the rules look at: the events and closed runs, oldest first, what `audit verify` found wrong, others' logs."""

    events: tuple[AuditEvent, ...]
    runs: tuple[Run, ...] = ()
    problems: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def is_learning(self) -> bool:
        """Whether nothing of the audit log can be called normal yet."""
        return self.learns(AUDIT)

    def learns(self, source: str) -> bool:
        """Whether nothing of this log can be called normal yet."""
        return not any(is_ready for event, is_ready in self.told() if source_of(event) == source)

    def told(self) -> Iterator[tuple[AuditEvent, bool]]:
        """Every event of all logs in order, and whether it may be compared with what is normal in its own."""
        events: Sequence[AuditEvent] = self.events
        if self.sources:
            others = (event for source in self.sources for event in source.events)
            events = sorted((*events, *others), key=lambda event: event.time)
        counts: Counter[str] = Counter()
        starts: dict[str, datetime] = {}
        ready: set[str] = set()
        for event in events:
            source = source_of(event)
            needed = LEARNING_EVENTS if source == AUDIT else PROVIDER_EVENTS
            start = starts.setdefault(source, event.time)
            if counts[source] >= needed and event.time >= start + timedelta(days=LEARNING_DAYS):
                ready.add(source)
            counts[source] += 1
            yield event, source in ready


def event_id(event: AuditEvent) -> int | str:
    """The number in the chain, or the name within a provider's log."""
    return event.id if isinstance(event, ProviderEvent) else event.seq


def threat(id: str, title: str, events: Iterable[AuditEvent], target: str = LOG, **numbers: Any) -> Finding:
    """A finding of a rule, resting on these events; the numbers explain it."""
    rule, listed = BY_ID[id], list(events)
    sources = dict.fromkeys(map(_shown_source, listed))
    others = [event for event in listed if isinstance(event, ProviderEvent)]
    own = [event.seq for event in listed if not isinstance(event, ProviderEvent)]
    evidence: dict[str, Any] = {"events": own[:SHOWN], **numbers}
    if others:
        evidence["provider_events"] = [event.id for event in others[:SHOWN]]
        target = others[0].source if target == LOG else target
    if listed:
        evidence["first"], evidence["last"] = timestamp(listed[0].time), timestamp(listed[-1].time)
        runs = list(dict.fromkeys(event.run for event in listed if event.run))
        evidence["runs"] = runs[:SHOWN]
    return Finding(
        id=id,
        agent="security",
        severity=rule.severity,
        target=target,
        title=title,
        evidence=evidence,
        help=f"{rule.text}. Harmless when: {rule.harmless}. Next: {rule.next}.",
        source=f"sophia: threat rule {id}/{VERSION} over {' and '.join(sources) or 'the audit log'}",
        no_fix="whether this was meant is for a person to say",
    )


def _shown_source(event: AuditEvent) -> str:
    return event.source if isinstance(event, ProviderEvent) else "the audit log"
