"""The desk behind the tools, as a protocol: what a client may ask for. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Sheet:
    """One result: its public form, such as `sophia.plan/1`, its JSON data, and which list of it comes in pages."""

    form: str
    data: Mapping[str, Any]
    main: str | None = None
    note: str = ""


class Desk(Protocol):
    """What a client may ask for. Every method raises `SophiaError` and shows secrets masked; only `apply` writes."""

    async def analyze(self, targets: Sequence[str], agents: Sequence[str]) -> Sheet:
        """The findings of the specialists about targets of the environment."""
        ...

    async def configuration(self, path: str | None) -> Sheet:
        """The evaluated environment, or one value of it with where it comes from."""
        ...

    async def zone(self, domain: str) -> Sheet:
        """The live records of one zone of the environment."""
        ...

    async def tls(self, hosts: Sequence[str]) -> Sheet:
        """What port 443 of hosts in the environment's zones shows, and the findings about it."""
        ...

    async def create_plan(self, targets: Sequence[str]) -> Sheet:
        """A plan, kept under an id in sophia's own state."""
        ...

    async def plan(self, id: str) -> Sheet:
        """A kept plan."""
        ...

    async def audit(self, since: str | None, until: str | None, by: str | None, run: str | None) -> Sheet:
        """Events of the hash-chained log, newest first, and whether the chain holds."""
        ...

    async def policy(self, id: str | None) -> Sheet:
        """The policy in force; with a plan's id, why each of its changes is allowed, asked for or denied now."""
        ...

    async def confirmation(self, id: str, digest: str) -> str:
        """What a person is asked before an approved plan is applied, written from the plan itself.

        Raises when the plan is stale, denied, or was not approved in sophia itself.
        """
        ...

    async def decline(self, id: str, digest: str, how: str) -> None:
        """Put into the log that the person at the client did not agree."""
        ...

    async def apply(self, id: str, digest: str) -> Sheet:
        """Apply an approved plan; everything that `confirmation` checks is checked again."""
        ...

    def shown(self, text: str) -> str:
        """A text on its way out: without secrets, and with steering characters escaped."""
        ...
