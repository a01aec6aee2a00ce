"""What the apply flow stands on: state, targets, clock, events, signals. Injected; does nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sophia_cli.core.changes import Change
from sophia_cli.core.ports import Clock, Store, TargetPort
from sophia_cli.flows.events import Stream

EARLIER_SNAPSHOTS = 5


class Guard(Protocol):
    """Signals, injected: a stop that comes inside a write waits until the write is settled."""

    def stop_requested(self) -> bool:
        """Whether a stop was asked for while writing."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """The part of a run that must not be torn."""
        ...


def _nobody(change: Change) -> bool:
    """Nobody is there to be asked."""
    return False


@dataclass(frozen=True, slots=True)
class Ground:
    """What the apply flow stands on: injected, so that the same flow serves every command and every test."""

    store: Store
    targets: Mapping[str, TargetPort]
    clock: Clock
    stream: Stream
    guard: Guard
    new_run_id: Callable[[], str]
    command: str
    wait_s: float = 30.0
    calls: Callable[[], int] = lambda: 0
    """How many calls the providers have made so far."""
    agrees: Callable[[Change], bool] = _nobody
    """Asks a person about a value that became known only while applying."""

    def target(self, name: str) -> TargetPort:
        """The port of a target."""
        return self.targets[name]
