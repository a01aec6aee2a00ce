"""Verifying: what was written is asked for from outside, and taken back where the outside shows something else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

from sophia_cli.core.errors import Interrupted, SophiaError, StateError, WriteFailed
from sophia_cli.core.history import Leg, Run, Snapshot
from sophia_cli.core.ports import Evidence
from sophia_cli.flows.closing import close
from sophia_cli.flows.concurrency import side_by_side
from sophia_cli.flows.course import Course
from sophia_cli.flows.ground import EARLIER_SNAPSHOTS, Ground
from sophia_cli.flows.writing import read_and_take_back


async def verify_all(course: Course, fresh: Mapping[str, Snapshot], ground: Ground) -> None:
    """Ask about every written target side by side; what is shown wrong is taken back, target by target."""
    written = [leg for leg in course.run.legs if leg.phase == "written"]
    verdicts = await side_by_side(lambda leg: _verify(course, leg, fresh[leg.target], ground), written)
    await take_back_linked(course, ground)
    verified = None if not verdicts or None in verdicts else all(verdicts)
    course.run = replace(course.run, verified=verified)


async def _verify(course: Course, leg: Leg, before: Snapshot, ground: Ground) -> bool | None:
    evidence = await _asked(course.run, leg, before, ground)
    if evidence.verified is False:
        why = "the outside shows something else: " + "; ".join(evidence.details[:3])
        await read_and_take_back(course, leg.target, before, ground, why)
    else:
        await course.to(leg.target, "done", "; ".join(evidence.details[:3]))
    return evidence.verified


async def _asked(run: Run, leg: Leg, before: Snapshot, ground: Ground) -> Evidence:
    port, wait = ground.target(leg.target), 0.0 if ground.guard.stop_requested() else ground.wait_s
    earlier = (before, *await ground.store.snapshots.recent(leg.target, EARLIER_SNAPSHOTS))
    try:
        evidence = await port.verify(run.of(leg.target), before, earlier, wait)
    except StateError:
        raise
    except SophiaError as exc:  # nobody could be asked, which says nothing about what was written
        evidence = Evidence(None, (exc.message,))
    said = {True: "verified", False: "wrong", None: "not yet"}[evidence.verified]
    await ground.stream.say("apply.verify", target=leg.target, outcome=said, details=list(evidence.details[:10]))
    return evidence


async def interrupted(course: Course, ground: Ground) -> NoReturn:
    """A signal while waiting for public DNS: what was written stays, and heal asks again.

    A signal that tore an undo is passed on, and the run stays open.
    """
    if any(leg.phase == "writing" for leg in course.run.legs):
        raise asyncio.CancelledError
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    for leg in course.run.legs:
        if leg.phase == "written":
            await course.to(leg.target, "done", "verification was interrupted")
    await take_back_linked(course, ground)
    run = await close(course.run, ground)
    if run.outcome != "applied":
        raise WriteFailed(
            f"interrupted while verifying; run {run.id} ended as {run.outcome}",
            hint="run: sophia plan",
            details={"run": run.public()},
        )
    raise Interrupted(f"interrupted while verifying; run {run.id} was written as planned", hint="run: sophia heal")


async def take_back_linked(course: Course, ground: Ground) -> None:
    """When what an environment edit names did not come to be, the edit goes as well; so does a secret it did not take."""
    for leg in course.run.legs:
        if leg.phase == "done" and _was_made_in_vain(course.run, leg.target):
            before = await _before(course.run, leg.target, ground)
            await read_and_take_back(course, leg.target, before, ground, "the environment did not take its value")
    run = course.run
    others = [leg for leg in run.legs if not leg.target.startswith("config:")]
    if not others or any(leg.phase in ("done", "unknown") for leg in others):
        return
    for leg in run.legs:
        if leg.target.startswith("config:") and leg.phase == "done":
            before = await _before(run, leg.target, ground)
            await read_and_take_back(course, leg.target, before, ground, "its records were not made")


def _was_made_in_vain(run: Run, target: str) -> bool:
    """Whether this is a secret's new value that the edit of the environment, as is known, did not take."""
    takers = {change.target for change in run.changes if (change.takes or "").partition("#")[0] == target}
    phases = [run.leg(taker).phase for taker in takers]
    return (
        target.startswith("secret:") and bool(phases) and all(one in ("pending", "skipped", "undone") for one in phases)
    )


async def _before(run: Run, target: str, ground: Ground) -> Snapshot:
    before = await ground.store.snapshots.of_run(run.id, target)
    if before is None:
        raise StateError(f"run {run.id}: the snapshot of {target} is gone", hint="sophia audit show")
    return before
