"""Findings answered by changes: fixes that touch one record are merged, or the conflict is named. Applies nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import fix_of
from sophia_cli.checks.registry import CHECKS
from sophia_cli.core.changes import RISKS, Change, ConfigValue
from sophia_cli.core.dns import Record, mail_policy
from sophia_cli.core.findings import Finding, Fix, Proposal
from sophia_cli.core.plan import applied

# How sure a rule is that its change is what the owner wants, by the worst risk among the changes: a rule knows that a
# change mends the finding; it does not know what else hangs on the record.
CONFIDENCE = {"low": "0.95", "medium": "0.85", "high": "0.75", "critical": "0.60"}

Claim = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A fix on offer: the finding it answers (empty for tuning), the rule it is from, and why."""

    finding: str
    rule: str
    reason: str
    fix: Fix


@dataclass(slots=True)
class _Draft:
    """A proposal being made."""

    offers: list[Offer]
    changes: list[Change]
    conflicts: list[str] = field(default_factory=list)


def offers(facts: Facts, findings: Iterable[Finding]) -> list[Offer]:
    """The fixes of findings about this target, worst finding first."""
    ours = sorted((finding for finding in findings if finding.target == facts.target), key=Finding.order)
    return [Offer(found.id, found.id, _sentence(found), found.fix) for found in ours if found.fix is not None]


def _sentence(found: Finding) -> str:
    why = "; ".join(dict.fromkeys(change.reason for change in found.fix.changes)) if found.fix is not None else ""
    return f"{found.title}: {why}"


def claims(change: Change) -> set[Claim]:
    """What a change lays its hand on: its rows, and the mail policy it would make (of which there may be one)."""
    found: set[Claim] = set()
    for row in (change.before, change.after):
        if isinstance(row, ConfigValue):
            found.add(("config", row.path))
        if isinstance(row, Record):
            found.add(row.key)
            policy = mail_policy(row)
            if policy not in (None, "dkim"):
                found.add(("policy", row.name, policy or ""))
    return found | _timed(change)


def _rows(change: Change) -> set[Claim]:
    """The claims of a change but that on the TTL of its set, which several changes may make alike."""
    return claims(change) - _timed(change)


def _timed(change: Change) -> set[Claim]:
    """The set whose TTL a change sets: its records share one (RFC 2181 5.2)."""
    row = change.after
    return {("ttl", row.name, row.type)} if isinstance(row, Record) and _only_ttl(change) else set()


def answers(facts: Facts, offered: Sequence[Offer], first: int = 1) -> tuple[Proposal, ...]:
    """The proposals of some offers, numbered from `first`; an earlier offer wins a conflict and names the later one."""
    desk = _Desk(facts)
    for offer in offered:
        parts = [offer]
        if all(
            _only_ttl(change) for change in offer.fix.changes
        ):  # each stands alone, so one taken record stops no other
            parts = desk.split(offer)
        for part in parts:
            desk.take(part)
    return tuple(_proposal(facts, draft, f"p{number}") for number, draft in enumerate(desk.drafts, first))


def _only_ttl(change: Change) -> bool:
    before, after = change.before, change.after
    return isinstance(before, Record) and isinstance(after, Record) and replace(after, ttl=before.ttl) == before


class _Desk:
    """The drafts of one target while they are made, and which of them has claimed what."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.drafts: list[_Draft] = []
        self.claimed: dict[Claim, int] = {}

    def touched(self, changes: Iterable[Change]) -> list[int]:
        """The drafts that have claimed what these changes claim."""
        return sorted({self.claimed[claim] for change in changes for claim in claims(change) if claim in self.claimed})

    def split(self, offer: Offer) -> list[Offer]:
        """An offer as what is free and, one by one, what a draft has claimed already."""
        taken = [change for change in offer.fix.changes if self.touched([change])]
        free = tuple(change for change in offer.fix.changes if change not in taken)
        parts = ([free] if free else []) + [(change,) for change in taken]
        return [replace(offer, fix=replace(offer.fix, changes=part)) for part in parts]

    def take(self, offer: Offer) -> None:
        """A new draft, or part of the one that touches the same records, or a conflict there."""
        touched = self.touched(offer.fix.changes)
        if not touched:
            self._claim(offer.fix.changes, len(self.drafts))
            self.drafts.append(_Draft([offer], list(offer.fix.changes)))
            return
        draft = self.drafts[touched[0]]
        together = _merged(draft.changes, offer.fix.changes) if len(touched) == 1 else None
        if together is not None:
            self._claim(together, touched[0])
            draft.changes = together
            draft.offers.append(offer)
        elif len(touched) == 1 and _mends(self.facts, draft.changes, offer):
            draft.offers.append(offer)
        else:
            draft.conflicts.append(offer.rule)

    def _claim(self, changes: Iterable[Change], index: int) -> None:
        self.claimed.update({claim: index for change in changes for claim in claims(change)})


def _mends(facts: Facts, changes: list[Change], offer: Offer) -> bool:
    """Whether these changes answer the offer's finding too: fewer of its kind are left after them."""
    run = next((check.run for check in CHECKS if check.rule.id == offer.rule), None)
    if run is None:
        return False
    left = list(run(replace(facts, zone=applied(facts.zone, changes))))
    if any(offer.reason.startswith(f"{found.title}: ") for found in left):
        return False  # another finding of the same rule was answered, not this one
    return len(left) < len(list(run(facts)))


def _merged(changes: list[Change], more: Sequence[Change]) -> list[Change] | None:
    """Both sets of changes as one; None when they want different things of one record."""
    result = list(changes)
    for change in more:
        index = next((i for i, other in enumerate(result) if _rows(other) & _rows(change)), None)
        if index is None:
            result.append(change)
            continue
        both = _both(result[index], change)
        if both is None:
            return None
        result[index] = both
    ttls = {(place, one.after.ttl) for one in result if isinstance(one.after, Record) for place in _timed(one)}
    return result if len(ttls) == len({place for place, _ in ttls}) else None  # a set has one TTL (RFC 2181 5.2)


def _both(one: Change, two: Change) -> Change | None:
    if (one.action, one.before, one.after) == (two.action, two.before, two.after):
        return one
    if not one.action == two.action == "update" or one.before != two.before:
        return None
    base, left, right = one.before, one.after, two.after
    if not (isinstance(base, Record) and isinstance(left, Record) and isinstance(right, Record)):
        return None
    values = {}
    for name in ("name", "type", "value", "ttl", "priority"):
        was, a, b = getattr(base, name), getattr(left, name), getattr(right, name)
        if a != was and b != was and a != b:
            return None
        values[name] = b if a == was else a
    return replace(one, after=Record(**values), reason=f"{one.reason}; {two.reason}")


def _proposal(facts: Facts, draft: _Draft, id: str) -> Proposal:
    fix = fix_of(facts, draft.changes)
    worst = max((change.risk for change in fix.changes), key=RISKS.index)
    reasons = [offer.reason for offer in draft.offers]
    if draft.conflicts:
        later = ", ".join(dict.fromkeys(draft.conflicts))
        reasons.append(f"in conflict with {later}, which would change the same record: apply this, then analyze again")
    return Proposal(
        id=id,
        finding=", ".join(dict.fromkeys(offer.finding for offer in draft.offers if offer.finding)),
        changes=fix.changes,
        reason=". ".join(dict.fromkeys(reasons)),
        confidence=CONFIDENCE[worst],
        source=f"rule:{draft.offers[0].rule}",
        undo="sophia rollback: " + "; ".join(dict.fromkeys(_undo(change) for change in fix.changes)),
        safe=fix.safe,
    )


def _undo(change: Change) -> str:
    """What taking one change back does; values are left out, because an old value may be a secret."""
    row = change.before if isinstance(change.before, Record) else change.after
    name = f"{row.type} {row.name}" if isinstance(row, Record) else change.kind
    if isinstance(row, ConfigValue):
        name = row.path
    if change.action == "create":
        return f"deletes {name} again"
    old, new = change.before, change.after
    if isinstance(old, Record) and isinstance(new, Record) and old.key == new.key:
        return f"gives {name} its TTL {old.ttl} back"
    return f"puts the former {name} back"
