"""The stream of typed events: a flow says what happened once, and the audit log, the display and others listen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sophia_cli.core.history import AuditEvent
from sophia_cli.core.ports import Clock

Subscriber = Callable[[AuditEvent], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Stream:
    """Who is acting, and who listens. The audit log comes first: what cannot be recorded is not done."""

    actor: str
    clock: Clock
    subscribers: tuple[Subscriber, ...] = ()
    run: str | None = None
    plan: str | None = None
    origin: Mapping[str, str] = field(default_factory=dict)
    """Where the actor acts from, as far as is known: `address` of a remote login, `ci` run."""

    async def say(self, action: str, *, target: str | None = None, outcome: str | None = None, **detail: Any) -> None:
        """Publish one event. `detail` is JSON data and holds no secrets."""
        event = AuditEvent(
            seq=0,
            time=self.clock.now(),
            actor=self.actor,
            action=action,
            run=self.run,
            target=target,
            plan=self.plan,
            outcome=outcome,
            detail={**self.origin, **detail},
        )
        for subscriber in self.subscribers:
            await subscriber(event)

    def of(self, run: str, plan: str) -> Stream:
        """The same stream, speaking of one run."""
        return replace(self, run=run, plan=plan)
