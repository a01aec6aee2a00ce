"""Scaling a service: one value of its stack's configuration, within its bounds, for good or until an end. Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.errors import Refused, UsageError
from sophia_cli.core.history import timestamp
from sophia_cli.core.settings import Service, Settings, Stack
from sophia_cli.flows.desk import Desk, joined
from sophia_cli.flows.plan import Judged, assemble, judged, policy_of

Direction = Literal["up", "down", "to"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How much of a service is wanted: a step, an amount or a percentage up or down, or a number; until `end` if given."""

    service: str
    direction: Direction
    amount: int | None = None
    percent: int | None = None
    to: int | None = None
    end: datetime | None = None


def find_service(settings: Settings, name: str) -> Service:
    """The service of a name or alias. Raises `UsageError`."""
    wanted = name.casefold()
    for service in settings.services:
        if wanted in (service.name.casefold(), *(alias.casefold() for alias in service.aliases)):
            return service
    known = ", ".join(service.name for service in settings.services) or "none"
    raise UsageError(f"there is no service {name} in the environment", hint=f"services: {known}")


def size_after(scaling: Scaling, now: int, service: Service) -> int:
    """The size a scaling leads to, within the service's bounds. Raises `Refused` when they leave nothing to change.

    A percentage is rounded away from the present size, so that it always means something.
    """
    if scaling.direction == "to":
        wanted = now if scaling.to is None else scaling.to
        low, high = service.min, service.max
        if (low is not None and wanted < low) or (high is not None and wanted > high):
            raise Refused(f"{service.name}: {wanted} is outside {_bounds(service)}", hint=_where(service))
    else:
        step = -(-now * scaling.percent // 100) if scaling.percent is not None else scaling.amount or 1
        wanted = now + step if scaling.direction == "up" else now - step
        wanted = max(wanted, service.min if service.min is not None else 0)
        wanted = wanted if service.max is None else min(wanted, service.max)
    if wanted == now:
        raise Refused(f"{service.name} stays at {now}: its bounds are {_bounds(service)}", hint=_where(service))
    return wanted


def _bounds(service: Service) -> str:
    low, high = ("open" if one is None else one for one in (service.min, service.max))
    return f"{low}..{high}"


def _where(service: Service) -> str:
    return f"the bounds are services.{service.name}.min and .max in the environment; a person edits them"


async def plan_scaling(scaling: Scaling, desk: Desk) -> Judged:
    """The judged plan that scales a service: the edit of the environment and what the stack's engine makes of it.

    Raises `Refused` where the environment cannot be written, where the stack has other changes waiting, or without the
    engine's command.
    """
    settings, now = desk.settings, desk.now
    service = find_service(settings, scaling.service)
    if scaling.end is not None and scaling.end <= now:
        raise UsageError(f"{timestamp(scaling.end)} is not in the future", hint="name a later end")
    stack, key = _place(service, settings)
    size = _size(service, stack, key)
    after = size_after(scaling, size, service)
    path = joined("pulumi", "stacks", stack.environment, "config", key)
    file = desk.writable(f"set {path} to {after} there")
    waiting = (await (await desk.stack(stack)).propose()).changes
    if waiting:
        raise Refused(
            f"{service.name}: its stack has {len(waiting)} other changes waiting, which would be made as well",
            hint="sophia plan shows them; deploy them first",
        )
    part = await (await desk.stack(stack, {key: after})).propose()
    if not any(change.kind == "stack.resource" for change in part.changes):
        raise Refused(
            f"{service.name}: its stack does not change with {key}, so nothing would be scaled",
            hint=f"name the key that its program reads: services.{service.name}.config_key",
        )
    text = await file.read()
    until = "" if scaling.end is None else f" until {timestamp(scaling.end)}"
    reason = f"scales {service.name} from {size} to {after}{until}"
    raw = file.source(path)
    before = None if raw is None else ConfigValue(path, raw)
    edit = Change(
        file.id,
        "config.value",
        "create" if before is None else "update",
        before,
        ConfigValue(path, after),
        "user",
        reason,
    )
    changes = [edit, *(replace(change, source="user", reason=reason) for change in part.changes)]
    plan = replace(assemble(settings, [], changes, [], now, files=[text], parts=[part]), ends=scaling.end)
    return await judged(plan, await policy_of(settings, desk.store, desk.overrides), [], desk.store, now)


def _place(service: Service, settings: Settings) -> tuple[Stack, str]:
    if service.config_key is None or service.stack is None:
        missing = "config_key" if service.config_key is None else "stack"
        raise Refused(
            f"{service.name}: it is not said what is to be scaled", hint=f"add services.{service.name}.{missing}"
        )
    stack = next((one for one in settings.pulumi.stacks if service.stack in (one.environment, one.name)), None)
    if stack is None:
        raise Refused(f"{service.name}: there is no stack {service.stack}", hint="add it under pulumi.stacks")
    return stack, service.config_key


def _size(service: Service, stack: Stack, key: str) -> int:
    value = stack.config.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).strip().isdecimal():
        raise Refused(
            f"{service.name}: pulumi.stacks.{stack.environment}.config.{key} is no whole number, so it is not known what to "
            "scale from",
            hint="write the present size there",
        )
    return int(value)
