"""A domain's delegation as a target: which name servers the registry lists, read and set at Namecheap. Touches no record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sophia_cli.core.changes import Change, Delegation, delegation_target
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.history import Snapshot
from sophia_cli.core.plan import State
from sophia_cli.core.ports import Clock, Evidence, Part
from sophia_cli.core.stacks import Output

if TYPE_CHECKING:
    from sophia_cli.providers.namecheap.client import NamecheapClient


class NamecheapDelegation:
    """Where one domain is delegated to (Namecheap API, domains.dns.getList, setDefault, setCustom).

    `wanted` is what the environment asks for; empty means the provider's default servers.
    """

    def __init__(self, name: str, wanted: tuple[str, ...], client: NamecheapClient, clock: Clock) -> None:
        self._name = name
        self._wanted = Delegation(tuple(sorted(wanted)))
        self._client = client
        self._clock = clock

    @property
    def id(self) -> str:
        """`delegation:NAME`."""
        return delegation_target(self._name)

    async def read(self) -> Snapshot:
        """The name servers the registrar has for the domain."""
        found = await self._client.nameservers(self._name)
        servers = () if found.is_using_our_dns else tuple(sorted(server.lower() for server in found.hosts))
        return Snapshot(self.id, self._clock.now(), Delegation(servers))

    async def propose(self) -> Part:
        """The change that makes the delegation what the environment says."""
        snapshot = await self.read()
        there = _delegation(snapshot)
        if there == self._wanted:
            return Part(snapshot, unchanged=1)
        reason = "named by dns.delegation; resolvers follow within two days"
        change = Change(self.id, "dns.nameservers", "update", there, self._wanted, reason=reason)
        return Part(snapshot, (change,))

    async def outputs(self) -> Mapping[str, Output]:
        """Nothing takes a value from a delegation."""
        return {}

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Nothing seen from outside forbids it."""
        return ()

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Delegate to the servers of the last change."""
        for change in changes:
            if isinstance(change.after, Delegation):
                if change.after.nameservers:
                    await self._client.set_custom(self._name, change.after.nameservers)
                else:
                    await self._client.set_default(self._name)

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Hold what the registrar has now against what was planned."""
        return Comparison(tuple(_state(change, _delegation(after)) for change in changes))

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """The registry's own servers follow in their time, which is longer than a run: nothing can be told yet."""
        return Evidence(None, ("the registrar has it; the registry's servers follow",))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """The inverse of what took effect."""
        there = _delegation(now)
        return tuple(change.inverse() for change in reversed(changes) if _state(change, there) != "before")


def _delegation(snapshot: Snapshot) -> Delegation:
    if not isinstance(snapshot.content, Delegation):
        raise TypeError(f"{snapshot.target} holds no delegation")
    return snapshot.content


def _state(change: Change, there: Delegation) -> State:
    if there == change.after:
        return "after"
    return "before" if there == change.before else "neither"
