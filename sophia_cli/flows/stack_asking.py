"""Sentences about stacks: environments made, ended and taken down, services scaled. Each becomes the plan of its command."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sophia_cli.core.errors import Refused
from sophia_cli.flows.desk import Desk
from sophia_cli.flows.environments import find_stack, likely_base, plan_creation, plan_destruction, plan_expiry
from sophia_cli.flows.reply import Reply, World
from sophia_cli.flows.scaling import Direction, Scaling, plan_scaling
from sophia_cli.reasoning import intents as said
from sophia_cli.reasoning.recurrence import why_not


async def create_environment(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The plan of a new environment, made like the one this environment is about."""
    assert isinstance(intent, said.CreateEnvironment)
    base = likely_base(world.settings)
    judged = await plan_creation(intent.environment, base, _desk(world), intent.until)
    return replace(reply, judged=judged, answer=f"It is made like {base.environment}.")


async def expire_environment(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The edit that gives an environment an end."""
    assert isinstance(intent, said.ExpireEnvironment)
    stack = find_stack(world.settings, intent.environment)
    return replace(reply, judged=await plan_expiry(stack, intent.at, _desk(world)))


async def destroy_environment(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The plan that takes an environment down; it wants the stack's name typed, as its command does."""
    assert isinstance(intent, said.DestroyEnvironment)
    stack = find_stack(world.settings, intent.environment)
    return replace(reply, judged=await plan_destruction(stack, _desk(world)))


_DIRECTIONS: dict[str, Direction] = {"up": "up", "down": "down", "to": "to"}


async def scale_service(reply: Reply, intent: said.Intent, world: World, now: datetime) -> Reply:
    """The plan that scales a service, now; what is to begin later or to repeat is refused."""
    assert isinstance(intent, said.ScaleService)
    if intent.every is not None or (intent.start is not None and intent.start > now):
        why, line = why_not(intent, world.time_zone, world.settings.writable)
        raise Refused(why, hint=line)
    way = _DIRECTIONS[intent.direction]
    wanted = Scaling(intent.service, way, intent.amount, intent.percent, intent.to, intent.end)
    return replace(reply, judged=await plan_scaling(wanted, _desk(world)))


def _desk(world: World) -> Desk:
    if world.desk is None:
        raise Refused("stacks cannot be reached here", hint="sophia doctor")
    return world.desk
