"""The ports that issuing stands on: where certificates are kept, who watches DNS and endpoints, what is run afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import SecretStr

from sophia_cli.core.certificates import CertificateState, Installed, Keeper, PendingOrder
from sophia_cli.core.dns_facts import Verdict
from sophia_cli.core.rate_limits import Ledger
from sophia_cli.core.renewal import RenewalState

Sight = Literal["shows", "lags", "silent", "untested"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one address of one name server showed over one transport, and for which name it fell short."""

    server: str
    transport: Literal["udp", "tcp"]
    sight: Sight
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.server} ({self.transport.upper()}) {self.detail or self.sight}"


@dataclass(frozen=True, slots=True)
class Secured:
    """Whether a validating resolver can look into a zone (RFC 4035 5). `why` holds what breaks the chain or hides it."""

    zone: str
    verdict: Verdict
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate that one endpoint serves: its serial in hexadecimal, or None and why it cannot be told."""

    endpoint: str
    serial: str | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HookResult:
    """How a deploy hook ended. `output` is the end of what it printed."""

    ok: bool
    detail: str
    output: str = ""


class CertificateStore(Protocol):
    """Certificates on disk, one current version a name, and the order that is under way for it.

    Every method may raise `StateError`. What is switched is switched for key and chain at once.
    """

    def paths(self, name: str) -> Mapping[str, Path]:
        """Where the current `fullchain`, `chain`, `certificate` and `key` are found, and the `folder` that holds them."""
        ...

    async def state(self, name: str) -> CertificateState:
        """What is installed now."""
        ...

    async def versions(self, name: str) -> tuple[Installed, ...]:
        """Every version that is kept, newest first."""
        ...

    async def chain(self, name: str, version: str) -> str:
        """The PEM text of a version: its certificate and intermediates, which are public."""
        ...

    async def key(self, name: str, version: str) -> SecretStr:
        """The private key of a version."""
        ...

    async def pending(self, name: str) -> PendingOrder | None:
        """The order that is under way."""
        ...

    async def save_pending(self, name: str, pending: PendingOrder) -> None:
        """Note an order durably."""
        ...

    async def pending_key(self, name: str) -> SecretStr | None:
        """The key of the order that is under way, if it has one yet."""
        ...

    async def save_pending_key(self, name: str, key: SecretStr) -> None:
        """Keep the key of the order durably; the request that names it may be sent afterwards."""
        ...

    async def drop_pending(self, name: str) -> None:
        """Forget the order and its key."""
        ...

    async def install(self, name: str, chain: str, installed: Installed) -> None:
        """Make the pending key and a chain one new version, durable as a whole, and switch to it.

        Raises `BadResponse` when they do not belong together; what was installed then stays.
        """
        ...

    async def switch(self, name: str, version: str | None) -> None:
        """Switch to a version that is kept; None leaves no current one. Raises `Refused` when it is not there."""
        ...

    async def amend(self, name: str, installed: Installed) -> None:
        """Replace what is noted of a version, such as that it was revoked."""
        ...


class Renewals(Protocol):
    """What renewing remembers between runs, over all machines that share a state; certificates and keys stay where they are.

    Every method may raise `StateError`; what cannot be read is never taken for an empty memory. Of two writers none loses
    the other's.
    """

    async def schedule(self, name: str, serial: str | None) -> RenewalState:
        """The schedule of one certificate of a name (None: of the one that is not there yet)."""
        ...

    async def reschedule(
        self, name: str, serial: str | None, move: Callable[[RenewalState], RenewalState]
    ) -> RenewalState:
        """Replace it by what `move` makes of it, and tell what stands there then."""
        ...

    async def spent(self, host: str) -> Ledger:
        """What was spent of the limits of an authority."""
        ...

    async def spend(self, host: str, move: Callable[[Ledger], Ledger]) -> None:
        """Replace it by what `move` makes of it."""
        ...


class Keepers(Protocol):
    """Which machine keeps a certificate, over all that share a state. Every method may raise `StateError`."""

    async def keeper(self, name: str) -> Keeper | None:
        """Who keeps it; None when nobody said so."""
        ...

    async def keep(self, name: str, keeper: Keeper | None) -> None:
        """Say so durably; None: whoever kept it does not any more."""
        ...


class DnsWitness(Protocol):
    """Public DNS as a certificate authority will see it."""

    async def written_at(self, name: str, zones: Sequence[str]) -> str:
        """Where a TXT record for a name has to stand: the end of its CNAME chain, or the name itself.

        Raises `BadResponse` for a loop, and `Unreachable` when nobody can be asked.
        """
        ...

    async def addresses(self, name: str, zones: Sequence[str]) -> tuple[str, ...]:
        """The addresses of a name as the servers of its zone give them; none for a name in no zone of ours."""
        ...

    async def secured(self, names: Sequence[str], zones: Sequence[str]) -> tuple[Secured, ...]:
        """The DNSSEC chain of each zone of ours that one of these names is answered from, also for the name itself.

        Never raises for what could not be asked: that is `unknown`.
        """
        ...

    async def look(self, zone: str, wanted: Mapping[str, frozenset[str]]) -> tuple[Sighting, ...]:
        """Ask every authoritative server of a zone, on each address, over UDP and TCP, for TXT values at absolute names."""
        ...


class EndpointWitness(Protocol):
    """What TLS endpoints serve."""

    async def served(self, endpoints: Sequence[tuple[str, int, str]]) -> tuple[Served, ...]:
        """Shake hands with each (name, port, address); an empty address is looked up."""
        ...


class DeployHook(Protocol):
    """The command that makes servers use a new certificate."""

    async def run(self, name: str, paths: Mapping[str, Path]) -> HookResult:
        """Run it, with the paths in its environment and nothing else of ours. A failure is a result, not an error."""
        ...
