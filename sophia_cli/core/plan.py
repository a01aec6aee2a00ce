"""Plans: what would change, why, and what stays. Does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.certificates import OWN_PROOFS
from sophia_cli.core.changes import Change, Delegation, EmailMode, shown
from sophia_cli.core.dns import (
    DEFAULT_TTL,
    WHOLE_SET_TYPES,
    Key,
    Record,
    Zone,
    is_parking_pair,
    mail_policy,
    sort_key,
    with_ttl,
)
from sophia_cli.core.errors import UnknownValue
from sophia_cli.core.history import Ownership, timestamp
from sophia_cli.core.risk import Zones, rated

if TYPE_CHECKING:
    from sophia_cli.core.findings import Proposal
    from sophia_cli.core.settings import DesiredRecord, DesiredZone

State = Literal["before", "after", "neither"]

# These mail policies are one set each: a second one breaks the first (RFC 7208 3.2, 9989, 8461 3.1, 8460 3).
_POLICY_SETS = frozenset({"spf", "dmarc", "mta-sts", "tls-rpt"})
_NOT_MANAGED = "not managed by this environment"


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that stays although the environment does not name it, and why."""

    target: str
    record: Record
    why: str

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.plan/1`)."""
        return {"target": self.target, "record": shown(self.record), "why": self.why}


@dataclass(frozen=True, slots=True)
class TargetBase:
    """A target as it was read for a plan: the digest the plan is bound to."""

    id: str
    base: str
    complete: bool

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {"id": self.id, "base": self.base, "complete": self.complete}


@dataclass(frozen=True, slots=True)
class ZoneDiff:
    """What one zone needs to become what its environment wants."""

    changes: tuple[Change, ...]
    kept: tuple[Kept, ...]
    unchanged: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered changes over targets. `zones` (before and after of each zone) is what `judge` looks at; it is not rendered."""

    environment: str
    created: datetime
    targets: tuple[TargetBase, ...]
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    unchanged: int = 0
    zones: Mapping[str, Zones] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Why a target that is no zone must not be written, by target id."""
    ends: datetime | None = None
    """When what it changes is to be put back again; None: never."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `{"targets": [{"id", "base"}], "changes": [...]}` (contract)."""
        return digest_of(
            {
                "targets": [{"id": target.id, "base": target.base} for target in self.targets],
                "changes": [change.stored() for change in self.changes],
            }
        )

    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not self.changes

    def of(self, target: str) -> tuple[Change, ...]:
        """The changes of one target."""
        return tuple(change for change in self.changes if change.target == target)

    def touched(self) -> tuple[str, ...]:
        """The targets that would be written, in the order they are written in."""
        return tuple(dict.fromkeys(change.target for change in self.changes))

    def summary(self) -> dict[str, int]:
        """Counts by action (contract, `summary`)."""
        counts = Counter({"create": 0, "update": 0, "delete": 0})
        counts.update(change.action for change in self.changes)
        return {**counts, "unchanged": self.unchanged, "kept": len(self.kept)}

    def data(self) -> dict[str, Any]:
        """The public shape without the verdict."""
        return {
            "digest": self.digest,
            "environment": self.environment,
            "created": timestamp(self.created),
            "targets": [target.data() for target in self.targets],
            "changes": [change.data() for change in self.changes],
            "kept": [kept.data() for kept in self.kept],
            "proposals": [proposal.data() for proposal in self.proposals],
            "summary": self.summary(),
        }


def zone_target(name: str) -> str:
    """The target id of a zone."""
    return f"dns:{name}"


def diff_zone(desired: DesiredZone, live: Zone, ownership: Ownership) -> ZoneDiff:
    """What to change so that `live` holds what `desired` names; whose record is whose stands in the contract.

    Raises `UnknownValue` when the environment could not be evaluated in full: an unknown value is never an absence.
    """
    if desired.unknown:
        raise UnknownValue(
            f"{desired.name}: {', '.join(desired.unknown)} cannot be known here, so nothing is planned for this zone",
            hint="give the value in the environment, or log in to the service that holds it",
        )
    target = zone_target(live.name)
    diff = _Diff(target, live, ownership)
    groups: dict[tuple[str, str, str], list[DesiredRecord]] = {}
    for wanted in desired.records:
        groups.setdefault(_group(wanted.record), []).append(wanted)
    for group, wanted_rows in sorted(groups.items()):
        if group[2] == "single":
            diff.single_values(wanted_rows)
        else:
            diff.whole_set(wanted_rows, [row for row in live.records if _group(row) == group])
    diff.leftovers(desired, {wanted.record.name for wanted in desired.records})
    if desired.email_type is not None and desired.email_type != live.email_type:
        drifted = ownership.email_type == desired.email_type
        diff.changes.append(
            Change(
                target=target,
                kind="dns.email_type",
                action="update",
                before=EmailMode(live.email_type),
                after=EmailMode(desired.email_type),
                source="drift" if drifted else "config",
                reason=f"named by {desired.path}.email_type",
            )
        )
    changes = finished(diff.changes, {target: Zones(live, applied(live, diff.changes), ownership=ownership)})
    kept = tuple(sorted(diff.kept, key=lambda kept: sort_key(kept.record)))
    return ZoneDiff(changes, kept, diff.unchanged)


def _group(record: Record) -> tuple[str, str, str]:
    """The set a record belongs to: whole sets by (name, type), mail policies by kind, others stand alone."""
    if record.type in WHOLE_SET_TYPES:
        return (record.name, record.type, "whole")
    policy = mail_policy(record)
    return (record.name, record.type, policy if policy in _POLICY_SETS else "single")


class _Diff:
    """The diff of one zone while it is being made: what is left of the live rows, and what was found so far."""

    def __init__(self, target: str, live: Zone, ownership: Ownership) -> None:
        self.target = target
        self.live = live
        self.left: dict[Key, Record] = {row.key: row for row in live.records}
        self.ownership = ownership
        self.named = ownership.named()
        self.changes: list[Change] = []
        self.kept: list[Kept] = []
        self.unchanged = 0

    def whole_set(self, wanted: list[DesiredRecord], there: list[Record]) -> None:
        """The environment manages the whole set: values it does not name go, paired with new ones as updates."""
        source = "drift" if all(self._was_applied(row) for row in wanted) else "config"
        missing = [row for row in wanted if not self._matched(row, source)]
        surplus = [row for row in there if row.key in self.left]
        path = wanted[0].path
        for index, row in enumerate(missing):
            if index < len(surplus):
                self._update(surplus[index], row, source)
            else:
                self._create(row, source)
        for old in surplus[len(missing) :]:
            self._delete(old, source, f"{path} names the whole set at this name")

    def single_values(self, wanted: list[DesiredRecord]) -> None:
        """The environment manages single values; one that it named before and no longer names is replaced."""
        desired_keys = {row.record.key for row in wanted}
        for row in wanted:
            source = "drift" if self._was_applied(row) else "config"
            if self._matched(row, source):
                continue
            former = next(
                (
                    old
                    for old in self.left.values()
                    if (old.name, old.type) == (row.record.name, row.record.type)
                    and old.key in self.named
                    and old.key not in desired_keys
                    and _group(old)[2] == "single"
                ),
                None,
            )
            if former is not None:
                self._update(former, row, source)
            else:
                self._create(row, source)

    def leftovers(self, desired: DesiredZone, hosts: set[str]) -> None:
        """What is there and not named: deleted when it is ours, parked or to be purged; kept otherwise."""
        parked = {row.key for row in is_parking_pair(self.live)}
        for row in list(self.left.values()):
            if (row.name, row.type) in desired.left_out:
                self.kept.append(Kept(self.target, row, desired.left_out[row.name, row.type]))
            elif row.key in parked and row.name in hosts:
                self._delete(row, "config", "the provider's own parking record, at a name the environment uses")
            elif row.key in self.named:
                self._delete(row, "config", "no longer named by the environment")
            elif desired.purge and not self._is_own_proof(row):
                self._delete(row, "config", f"{desired.path}.purge: not named by the environment")
            else:
                made = self.ownership.of(row)
                why = _NOT_MANAGED if made is None else f"made by run {made.run} ({made.by}), not by this environment"
                self.kept.append(Kept(self.target, row, why))

    def _is_own_proof(self, row: Record) -> bool:
        """Whether a record of ours proves control of a name to an authority: the flow that made it takes it away."""
        made = self.ownership.of(row)
        return made is not None and made.by in OWN_PROOFS

    def _was_applied(self, wanted: DesiredRecord) -> bool:
        """Whether an earlier applied plan put exactly this record there, so that its absence is drift."""
        owned = self.named.get(wanted.record.key)
        return (
            owned is not None
            and wanted.record.priority == owned.record.priority
            and wanted.record.ttl in (None, owned.record.ttl)
        )

    def _matched(self, wanted: DesiredRecord, source: str) -> bool:
        """Takes the live row with the same key; a different TTL or preference becomes an update."""
        row = self.left.pop(wanted.record.key, None)
        if row is None:
            return False
        after = self._filled(wanted.record, row)
        if after == row:
            self.unchanged += 1
        else:
            self._add("update", row, wanted, after, source)
        return True

    def _update(self, old: Record, wanted: DesiredRecord, source: str) -> None:
        self.left.pop(old.key)
        self._add("update", old, wanted, self._filled(wanted.record, old), source)

    def _create(self, wanted: DesiredRecord, source: str) -> None:
        self._add("create", None, wanted, self._filled(wanted.record, None), source)

    def _delete(self, old: Record, source: str, reason: str) -> None:
        self.left.pop(old.key)
        self.changes.append(Change(self.target, "dns.record", "delete", old, None, source, reason))

    def _add(
        self,
        action: Literal["create", "update"],
        before: Record | None,
        wanted: DesiredRecord,
        after: Record,
        source: str,
    ) -> None:
        hidden = wanted.secret - {"value"} if after.type in ("A", "AAAA") else wanted.secret
        self.changes.append(
            Change(
                target=self.target,
                kind="dns.record",
                action=action,
                before=before,
                after=after,
                source=source,
                reason=f"named by {wanted.path}",
                hidden=hidden,
                takes=wanted.takes,
            )
        )

    @staticmethod
    def _filled(record: Record, old: Record | None) -> Record:
        """The record with the TTL it will have: given, else the one that is there, else the provider's default."""
        if record.ttl is not None:
            return record
        return with_ttl(record, DEFAULT_TTL if old is None or old.ttl is None else old.ttl)


# -- the algebra: apply, state, undo --------------------------------------------------------------------------------


def applied(zone: Zone, changes: Iterable[Change]) -> Zone:
    """The zone with the changes made to it. `applied(a, diff(b, a)) == b`."""
    rows = {row.key: row for row in zone.records}
    email_type = zone.email_type
    creations: list[Record] = []
    for change in changes:
        if isinstance(change.after, EmailMode):
            email_type = change.after.email_type
            continue
        if isinstance(change.before, Record):
            rows.pop(change.before.key, None)
        if isinstance(change.after, Record):
            creations.append(change.after)
    rows.update({row.key: row for row in creations})
    return Zone.of(zone.name, email_type, rows.values())


def state_of(change: Change, zone: Zone) -> State:
    """Whether a zone holds what was before a change, what is after it, or neither."""
    if isinstance(change.after, EmailMode):
        if zone.email_type == change.after.email_type:
            return "after"
        before = change.before
        return "before" if isinstance(before, EmailMode) and zone.email_type == before.email_type else "neither"
    rows = {row.key: row for row in zone.records}
    before, after = change.before, change.after
    old = before if isinstance(before, Record) else None
    new = after if isinstance(after, Record) else None
    same_row = old is not None and new is not None and old.key == new.key
    if _holds(rows, new) and (same_row or old is None or old.key not in rows):
        return "after"
    if _holds(rows, old) and (same_row or new is None or new.key not in rows):
        return "before"
    return "neither"


def _holds(rows: Mapping[Key, Record], record: Record | None) -> bool:
    return record is None or rows.get(record.key) == record


def difference(target: str, now: Zone, wanted: Zone, source: str, reason: str) -> tuple[Change, ...]:
    """The changes that turn `now` into `wanted`, row by row: what an automatic undo applies."""
    there = {row.key: row for row in now.records}
    should = {row.key: row for row in wanted.records}
    changes = [
        Change(target, "dns.record", "delete", row, None, source, reason)
        for key, row in there.items()
        if key not in should
    ]
    for key, row in should.items():
        if key not in there:
            changes.append(Change(target, "dns.record", "create", None, row, source, reason))
        elif there[key] != row:
            changes.append(Change(target, "dns.record", "update", there[key], row, source, reason))
    if now.email_type != wanted.email_type:
        modes = (EmailMode(now.email_type), EmailMode(wanted.email_type))
        changes.append(Change(target, "dns.email_type", "update", *modes, source, reason))
    return finished(changes, {target: Zones(now, wanted)})


def finished(changes: Iterable[Change], zones: Mapping[str, Zones]) -> tuple[Change, ...]:
    """The changes ordered, rated and numbered: environment edits first, then each zone by name."""
    listed = list(changes)
    stages = _stage_of(listed)
    ordered = sorted(listed, key=lambda change: (stages[change.target], *_change_order(change)))
    return tuple(
        replace(rated(change, zones.get(change.target)), id=f"c{number}") for number, change in enumerate(ordered, 1)
    )


_KIND_ORDER = {"config.value": 0, "dns.nameservers": 1, "dns.email_type": 2, "dns.record": 3}


def _change_order(change: Change) -> tuple[Any, ...]:
    place = (change.target, _KIND_ORDER.get(change.kind, len(_KIND_ORDER)))
    if change.kind.startswith("stack."):
        return place  # as its engine orders them
    payload = change.after if change.after is not None else change.before
    return (*place, *(sort_key(payload) if isinstance(payload, Record) else (str(payload),)), change.action)


# -- the order of writing -----------------------------------------------------------------------------------------------

_STAGES = {"secret": -1, "config": 0, "stack": 2, "dns": 4, "delegation": 5, "cert": 6}
_DELETES_FIRST = 1
_DELEGATED_HERE = 3


def _stage_of(changes: Sequence[Change]) -> dict[str, int]:
    """When each target is written.

    Environment edits come first: a run killed between the two then resumes towards what was approved, not away from it.
    Only a secret is made before them, for its new value is what the edit writes.
    A stack is written before the records that may take its outputs, and after records that only go: nothing may point at
    what is not there any more. Certificates come last, for they are asked for at addresses that have to be there.
    """
    stages: dict[str, int] = {}
    for change in changes:
        stages.setdefault(change.target, _STAGES.get(change.target.partition(":")[0], len(_STAGES)))
    for target, stage in stages.items():
        mine = [change for change in changes if change.target == target]
        if stage == _STAGES["dns"] and all(change.action == "delete" for change in mine):
            stages[target] = _DELETES_FIRST
        if any(isinstance(change.after, Delegation) and not change.after.nameservers for change in mine):
            stages[target] = _DELEGATED_HERE  # the provider takes records only for domains on its own servers
    return stages


def stages(targets: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Targets in the order of writing, as groups that may be written side by side: neighbouring zones."""
    groups: list[list[str]] = []
    for target in targets:
        if groups and target.startswith("dns:") and groups[-1][-1].startswith("dns:"):
            groups[-1].append(target)
        else:
            groups.append([target])
    return tuple(tuple(group) for group in groups)


def rests_on(target: str, targets: Sequence[str], changes: Sequence[Change]) -> frozenset[str]:
    """The targets, among those written before it, without which a target must not be written.

    An edit of the environment names what all others do, and rests on the secret whose value it writes or forgets; a record
    rests on the stack whose output it takes; a stack rests on the zones whose records went before it.
    """
    earlier = targets[: targets.index(target)]
    taken = {change.takes.partition("#")[0] for change in changes if change.target == target and change.takes}
    ground = {"stack": ("config:", "dns:"), "config": ("config:", "secret:")}.get(
        target.partition(":")[0], ("config:",)
    )
    return frozenset(one for one in earlier if one.startswith(ground) or one in taken)
