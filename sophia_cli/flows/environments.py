"""Environments: a stack made from an existing one's settings with its records, given an end, and taken down again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from sophia_cli.core.changes import SECRET, UNKNOWN, Action, Change, ConfigValue
from sophia_cli.core.dns import APEX, DEFAULT_TTL
from sophia_cli.core.errors import Refused, SophiaError, UsageError
from sophia_cli.core.history import Snapshot, timestamp
from sophia_cli.core.plan import zone_target
from sophia_cli.core.ports import EnvironmentFile, Part
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Pulumi, Settings, Stack
from sophia_cli.core.stack_compare import irreversible
from sophia_cli.core.stacks import StackState
from sophia_cli.flows.desk import Desk, joined
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.links import linked
from sophia_cli.flows.plan import Judged, Seen, assemble, judged, observe, policy_of

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")
_BUILT_IN = "fn::"


def find_stack(settings: Settings, name: str) -> Stack:
    """The stack of an environment's or its own name. Raises `UsageError`."""
    for stack in settings.pulumi.stacks:
        if name in (stack.environment, stack.name):
            return stack
    known = ", ".join(one.environment for one in settings.pulumi.stacks) or "none"
    raise UsageError(f"there is no stack {name} in the environment", hint=f"stacks: {known}")


def likely_base(settings: Settings) -> Stack:
    """The stack a new one is made like when nobody says which. Raises `UsageError` where that is not plain."""
    stacks = settings.pulumi.stacks
    own = [one for one in stacks if {settings.stack, settings.environment} & {one.environment, one.name}]
    if own or len(stacks) == 1:
        return (own or list(stacks))[0]
    known = ", ".join(one.environment for one in stacks)
    raise UsageError(
        "it is not said which environment the new one is made like",
        hint=f"sophia stack create --from NAME with one of: {known}"
        if known
        else "add pulumi.stacks to the environment",
    )


def derived(name: str, base: Stack, expires: datetime | None = None) -> Stack:
    """A new stack with the settings of another. Raises `UsageError` for a name that no stack can have."""
    if not _NAME.match(name):
        raise UsageError(f"{name} cannot name an environment", hint="write lower-case letters, digits and hyphens")
    path, slash, _ = base.name.rpartition("/")
    return Stack(name, f"{path}{slash}{name}", dict(base.config), expires)


def stack_of(target: str, pulumi: Pulumi) -> Stack:
    """The stack of a target id, `stack:ORG/PROJECT/NAME`, be it in the environment still or not."""
    whole = target.partition(":")[2]
    name = whole.rpartition("/")[2]
    known = next((one for one in pulumi.stacks if one.name.rpartition("/")[2] == name), None)
    return known or Stack(name, whole)


# -- made ---------------------------------------------------------------------------------------------------------------


async def plan_creation(name: str, base: Stack, desk: Desk, expires: datetime | None = None) -> Judged:
    """The judged plan of a new environment: its settings, its stack, and the records that pointed at the base's outputs.

    Settings are copied as they are written; a secret is taken by reference, so it stands in the file once, and the new
    stack encrypts it anew. With `expires`, heal reports it then. Raises `Refused` for one that is there already.
    """
    settings = desk.settings
    if any(name in (one.environment, one.name) for one in settings.pulumi.stacks):
        raise Refused(f"there is an environment {name} already", hint="choose another name")
    stack = derived(name, base, expires)
    _in_future(expires, desk.now)
    file = desk.writable("add it under pulumi.stacks there")
    text = await file.read()
    until = "" if expires is None else f", to expire at {timestamp(expires)}"
    reason = f"the environment {name}, made like {base.environment}{until}"
    edits = [_made(file, joined("pulumi", "stacks", name), _entry(base, stack, file), reason)]
    part = await (await desk.stack(stack)).propose()
    if _is_there(part.snapshot):
        raise Refused(
            f"{part.snapshot.target} is there already, though the environment does not name it",
            hint="choose another name, or add it to pulumi.stacks by hand",
        )
    pulumi = replace(settings.pulumi, stacks=(*settings.pulumi.stacks, stack))
    changes: list[Change] = []
    zones: list[Seen] = []
    for one in await observe(settings, desk.readers, desk.store):
        rows = tuple(_rows(one, settings, base, stack))
        edits += [_made(file, row.path, _spelled(row, one.desired), reason) for row in rows]
        outputs = {part.snapshot.target: part.outputs}
        zone = linked(DesiredZone(one.desired.name, one.desired.path, rows), pulumi, outputs)
        changes += [_creation(row, one, reason) for row in zone.records]
        zones += [one] if zone.records else []
    changes += [replace(change, source="user", reason=reason) for change in part.changes]
    plan = assemble(settings, zones, [*edits, *changes], [], desk.now, files=[text], parts=[part])
    return await judged(plan, await policy_of(settings, desk.store, desk.overrides), zones, desk.store, desk.now)


def _in_future(when: datetime | None, now: datetime) -> None:
    if when is not None and when <= now:
        raise UsageError(f"{timestamp(when)} is not in the future", hint="name a later end")


def _entry(base: Stack, stack: Stack, file: EnvironmentFile) -> dict[str, Any]:
    """The new stack's entry: the base's as the file writes it, its secrets by reference."""
    at = ("pulumi", "stacks", base.environment)
    raw = file.source(joined(*at))
    found = dict(raw) if isinstance(raw, Mapping) else {}
    config = found.get("config")
    if isinstance(config, Mapping):
        found["config"] = {
            key: f"${{{joined(*at, 'config', key)}}}" if _is_built(value) else value for key, value in config.items()
        }
    elif base.config:  # the whole of it stands elsewhere
        found["config"] = f"${{{joined(*at, 'config')}}}"
    found.pop("expires", None)
    ends = {} if stack.expires is None else {"expires": timestamp(stack.expires)}
    return {**found, "name": stack.name, **ends}


def _is_built(value: Any) -> bool:
    """Whether a value holds a call of a built-in, such as a secret (ESC, "Built-in functions")."""
    if isinstance(value, Mapping):
        return any(key.startswith(_BUILT_IN) or _is_built(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_is_built, value))


def _rows(one: Seen, settings: Settings, base: Stack, stack: Stack) -> Iterator[DesiredRecord]:
    """The records of a zone that take the base's outputs, for the new stack."""
    desired = settings.zone(one.desired.name)
    taken = {row.path for row in (desired.records if desired else ())}
    for row in desired.records if desired else ():
        if not _takes_from(row, base):
            continue
        name = stack.environment if row.record.name == APEX else f"{row.record.name}-{stack.environment}"
        if one.zone.at(name):
            raise Refused(f"{one.zone.fqdn(name)} is there already", hint="choose another name for the environment")
        quoted = row.path.removesuffix('"]')
        paths = (f"{quoted}-{stack.environment}{tail}{row.path[len(quoted) :]}" for tail in _numbers())
        path = next(path for path in paths if path not in taken)
        taken.add(path)
        key = (row.takes or "").partition("#")[2]
        yield DesiredRecord(replace(row.record, name=name, value=UNKNOWN), path, takes=f"{stack.environment}#{key}")


def _numbers() -> Iterator[str]:
    yield ""
    number = 2
    while True:
        yield f"-{number}"
        number += 1


def _spelled(row: DesiredRecord, zone: DesiredZone) -> dict[str, Any]:
    name, _, key = (row.takes or "").partition("#")
    output = joined("stacks", name, "outputs", key)
    more = {"ttl": row.record.ttl} if row.record.ttl not in (None, zone.ttl) else {}
    more |= {"priority": row.record.priority} if row.record.priority is not None else {}
    return {"name": row.record.name, "type": row.record.type, "value": f"${{{output}}}", **more}


def _creation(row: DesiredRecord, one: Seen, reason: str) -> Change:
    record = row.record if row.record.ttl is not None else replace(row.record, ttl=DEFAULT_TTL)
    return Change(
        target=zone_target(one.desired.name),
        kind="dns.record",
        action="create",
        before=None,
        after=record,
        source="config",
        reason=reason,
        takes=row.takes,
        hidden=row.secret - {"value"} if record.type in ("A", "AAAA") else row.secret,
    )


# -- given an end ---------------------------------------------------------------------------------------------------------


async def plan_expiry(stack: Stack, at: datetime | None, desk: Desk) -> Judged:
    """The judged plan that gives an environment an end, or (with None) takes its end away: one edit of its file."""
    _in_future(at, desk.now)
    path = joined("pulumi", "stacks", stack.environment, "expires")
    file = desk.writable(f"set {path} to {timestamp(at)} there" if at else f"remove {path} there")
    text = await file.read()
    changes = []
    if at != stack.expires:
        reason = f"the environment {stack.environment} " + (f"expires at {timestamp(at)}" if at else "does not expire")
        changes = [_edited(file, path, None if at is None else timestamp(at), reason)]
    plan = assemble(desk.settings, [], changes, [], desk.now, files=[text])
    policy = await policy_of(desk.settings, desk.store, desk.overrides)
    return await judged(plan, policy, [], desk.store, desk.now)


def _edited(file: EnvironmentFile, path: str, value: Any, reason: str) -> Change:
    before, after = (None if one is None else ConfigValue(path, one) for one in (file.source(path), value))
    action: Action = "create" if before is None else "delete" if after is None else "update"
    return Change(file.id, "config.value", action, before, after, "user", reason)


# -- taken down -----------------------------------------------------------------------------------------------------------


async def plan_destruction(stack: Stack, desk: Desk, source: str = "user") -> Judged:
    """The judged plan that takes a stack down: first the records that take its outputs, then its resources.

    The environment's settings of it are removed as well, so that the next plan does not make it again. Raises `Refused`
    where other settings still refer to them.
    """
    settings = desk.settings
    file = desk.writable(f"destroy it with: pulumi destroy -s {stack.name}; remove pulumi.stacks.{stack.environment}")
    text = await file.read()
    reason = f"the environment {stack.environment} is taken down"
    port = await desk.stack(stack)
    now = await port.read()
    part = await port.propose_destroy() if _is_there(now) else Part(now)
    changes: list[Change] = []
    zones: list[Seen] = []
    own = joined("pulumi", "stacks", stack.environment)
    paths = [own] if file.source(own) is not None else []
    for one in await observe(settings, desk.readers, desk.store):
        desired = settings.zone(one.desired.name)
        taking = [row for row in (desired.records if desired else ()) if _takes_from(row, stack)]
        paths += [row.path for row in taking if file.source(row.path) is not None]
        places = {(row.record.name, row.record.type) for row in taking}
        gone = [row for row in one.zone.records if (row.name, row.type) in places and one.ownership.of(row) is not None]
        changes += [Change(one.target, "dns.record", "delete", row, None, source, reason) for row in gone]
        zones += [one] if gone else []
    _refuse_if_used(own, file, stack)
    edits = [_removed(file, path, desk, reason, source) for path in dict.fromkeys(paths)]
    changes += [replace(change, source=source, reason=reason) for change in part.changes]
    part = replace(part, notes=(*part.notes, *irreversible(part.changes)))
    plan = assemble(settings, zones, [*edits, *changes], [], desk.now, files=[text], parts=[part])
    policy = await policy_of(settings, desk.store, desk.overrides)
    return await judged(plan, policy, zones, desk.store, desk.now)


def _refuse_if_used(path: str, file: EnvironmentFile, stack: Stack) -> None:
    """Raise `Refused` when another stack takes its settings from the one that goes."""
    others = file.source("pulumi.stacks")
    for name, entry in (others if isinstance(others, Mapping) else {}).items():
        if name != stack.environment and any(text.startswith(path) for text in _references(entry)):
            raise Refused(
                f"the environment {name} takes settings from {path}, which would go",
                hint=f"give pulumi.stacks.{name} values of its own first",
            )


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, str):
        yield from re.findall(r"\$\{([^}]*)\}", value)


def _removed(file: EnvironmentFile, path: str, desk: Desk, reason: str, source: str) -> Change:
    """The removal of a value; one that holds secrets is known by its keyed digest alone."""
    raw = file.source(path)
    before = ConfigValue(path, raw)
    if _is_built(raw):
        if desk.seals is None:
            raise Refused(f"{path} holds a secret, which no plan may show", hint="remove it from the file by hand")
        before = ConfigValue(path, SECRET, desk.seals.seal(raw))
    return Change(file.id, "config.value", "delete", before, None, source, reason)


def _made(file: EnvironmentFile, path: str, value: Any, reason: str) -> Change:
    return Change(file.id, "config.value", "create", None, ConfigValue(path, value), "user", reason)


def _takes_from(row: DesiredRecord, stack: Stack) -> bool:
    if row.takes is None:
        return False
    name = row.takes.partition("#")[0].partition(":")[2] or row.takes.partition("#")[0]
    return name.rpartition("/")[2] in (stack.environment, stack.name.rpartition("/")[2])


def ends_whole(changes: Iterable[Change]) -> frozenset[str]:
    """The stacks that these changes take down as a whole."""
    return frozenset(
        change.target
        for change in changes
        if change.kind == "stack.resource" and change.action == "delete" and getattr(change.before, "is_root", False)
    )


def _is_there(snapshot: Snapshot) -> bool:
    return isinstance(snapshot.content, StackState) and snapshot.content.exists


@runtime_checkable
class Removable(Protocol):
    """A stack that can be removed itself once it is empty."""

    async def read(self) -> Snapshot:
        """The stack now."""
        ...

    async def remove(self) -> None:
        """Remove the empty stack. Its configuration file stays."""
        ...


async def forget_empty(targets: Iterable[str], ground: Ground) -> tuple[str, ...]:
    """Remove the stacks among these targets that hold nothing any more; what went wrong, which loses nothing."""
    problems: list[str] = []
    for target in targets:
        port = ground.targets.get(target)
        if not isinstance(port, Removable):
            continue
        try:
            content = (await port.read()).content
            if isinstance(content, StackState) and content.exists and not content.resources:
                await port.remove()
                await ground.stream.say("stack.removed", target=target)
        except SophiaError as exc:
            problems.append(f"{target} is empty and could not be removed: {exc.message}")
    return tuple(problems)
