"""Certificates as values: what is wanted, what is installed, what an order that is under way needs. Holds no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sophia_cli.core.canonical import digest_of

if TYPE_CHECKING:
    from sophia_cli.core.settings import Ssl

# The directories of the authorities that `ssl.provider` may name (each authority's own documentation).
AUTHORITIES: dict[str, str] = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "google": "https://dv.acme-v02.api.pki.goog/directory",
}
CHALLENGE_SOURCE = "rule:acme-challenge"
RENEWAL_SOURCE = "rule:renewal"
STANDING_SOURCE = "rule:acme-standing-record"
OWN_SOURCES = frozenset({CHALLENGE_SOURCE, RENEWAL_SOURCE, STANDING_SOURCE})
OWN_PROOFS = frozenset({CHALLENGE_SOURCE, STANDING_SOURCE})
"""The sources of records that prove control of a name to an authority; the flow that made one takes it away."""
"""The source of a renewal of what a person agreed to when it was first issued; only the certificate target sets it."""

Want = Literal["issue", "renew"]


def certificate_target(name: str) -> str:
    """The target id of a certificate: `cert:example.com`."""
    return f"cert:{name}"


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """A certificate as a payload of a change: what to ask whom for.

    `serial` and `not_after` are set where a certificate that exists is meant: in what stood before a change, and in what
    a rollback goes back to. `serial` is hexadecimal in lower case, two digits a byte.
    """

    names: tuple[str, ...]
    authority: str
    """The directory URL (RFC 8555 7.1.1)."""
    key_type: str = "ec-p256"
    profile: str | None = None
    serial: str | None = None
    not_after: datetime | None = None
    others: tuple[str, ...] = ()
    """Directories of the authorities that are asked in turn when the one before cannot take the order."""

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        authority: str,
        key_type: str = "ec-p256",
        profile: str | None = None,
        others: Sequence[str] = (),
    ) -> CertificateOrder:
        """An order for a certificate that does not exist yet, its names lower-cased, sorted and each given once."""
        plain = tuple(sorted({name.rstrip(".").lower() for name in names}))
        return cls(plain, authority, key_type, profile, others=tuple(others))

    @property
    def authorities(self) -> tuple[str, ...]:
        """The directories in the order they are asked."""
        return (self.authority, *self.others)

    def beginning_with(self, authority: str) -> CertificateOrder:
        """The same order with one of its authorities asked first, as a renewal asks the one that issued."""
        if authority not in self.authorities:
            return self
        return replace(self, authority=authority, others=tuple(one for one in self.authorities if one != authority))

    def data(self) -> dict[str, Any]:
        """The public shape (`cert.issue`, `cert.renew`, `cert.revoke`)."""
        return {
            "names": list(self.names),
            "authority": self.authority,
            "others": list(self.others),
            "key_type": self.key_type,
            "profile": self.profile,
            "serial": self.serial,
            "not_after": None if self.not_after is None else _text(self.not_after),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> CertificateOrder:
        """The order of its public shape."""
        return cls(
            names=tuple(data["names"]),
            authority=data["authority"],
            key_type=data["key_type"],
            profile=data["profile"],
            serial=data["serial"],
            not_after=None if data["not_after"] is None else datetime.fromisoformat(data["not_after"]),
            others=tuple(data.get("others", ())),
        )

    def asks_for_same(self, other: CertificateOrder) -> bool:
        """Whether another order wants this certificate, whichever issue of it, from this authority or one it may stand in for."""
        mine = (self.names, self.key_type, self.profile)
        return mine == (other.names, other.key_type, other.profile) and self.authority in other.authorities


@dataclass(frozen=True, slots=True)
class Installed:
    """One certificate on disk. `version` names its folder; `approved` who agreed to its first issue, and how."""

    version: str
    names: tuple[str, ...]
    serial: str
    not_before: datetime
    not_after: datetime
    issuer: str
    key_type: str
    authority: str
    profile: str | None = None
    certificate_id: str | None = None
    """The identifier that renewal information and `replaces` go by (RFC 9773 4.1), where the authority has it."""
    approved: str | None = None
    revoked: bool = False
    predecessor: str | None = None
    """The serial of the certificate it took the place of: what tells the run that made it from later ones."""

    def order(self) -> CertificateOrder:
        """This certificate as the payload of a change."""
        return CertificateOrder(self.names, self.authority, self.key_type, self.profile, self.serial, self.not_after)

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "version": self.version,
            "names": list(self.names),
            "serial": self.serial,
            "not_before": _text(self.not_before),
            "not_after": _text(self.not_after),
            "issuer": self.issuer,
            "key_type": self.key_type,
            "authority": self.authority,
            "profile": self.profile,
            "certificate_id": self.certificate_id,
            "approved": self.approved,
            "revoked": self.revoked,
            "predecessor": self.predecessor,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Installed:
        """The certificate of its stored form."""
        times = {key: datetime.fromisoformat(data[key]) for key in ("not_before", "not_after")}
        return cls(**{**data, **times, "names": tuple(data["names"])})


@dataclass(frozen=True, slots=True)
class Keeper:
    """The machine that has the newest version of a certificate, and that version's serial and times."""

    host: str
    serial: str
    not_before: datetime
    not_after: datetime

    def data(self) -> dict[str, Any]:
        """The stored form."""
        times = {"not_before": _text(self.not_before), "not_after": _text(self.not_after)}
        return {"host": self.host, "serial": self.serial, **times}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Keeper:
        """The keeper of its stored form."""
        times = {key: datetime.fromisoformat(data[key]) for key in ("not_before", "not_after")}
        return cls(data["host"], data["serial"], **times)


@dataclass(frozen=True, slots=True)
class CertificateState:
    """What stands at a certificate target: one installed certificate, or none. It implements `history.Content`.

    `kept_by` is another machine that has it, so that a plan made here is stale once that machine renewed it.
    """

    name: str
    installed: Installed | None = None
    kept_by: Keeper | None = None

    def data(self) -> dict[str, Any]:
        """The canonical JSON form; the key `certificate` tells it from other contents."""
        return {
            "certificate": self.name,
            "installed": None if self.installed is None else self.installed.data(),
            "kept_by": None if self.kept_by is None else self.kept_by.data(),
        }

    def digest(self) -> str:
        """`sha256:...` of the canonical form."""
        return digest_of(self.data())

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> CertificateState:
        """The content of its canonical form."""
        found, keeper = data["installed"], data.get("kept_by")
        return cls(
            data["certificate"],
            None if found is None else Installed.from_data(found),
            None if keeper is None else Keeper.from_data(keeper),
        )


# -- what the environment wants -------------------------------------------------------------------------------------------


def directories(ssl: Ssl) -> tuple[str, ...]:
    """The directories of its authorities in the order they are asked; none when it names none that speaks ACME."""
    first = ssl.directory or AUTHORITIES.get(ssl.provider or "letsencrypt")
    return () if first is None else (first, *ssl.others)


def sections(ssl: Ssl) -> dict[str, Ssl]:
    """Each certificate that an environment asks for, by name, with the section as it counts for it alone."""
    name = name_of(ssl)
    own = {} if name is None else {name: replace(ssl, certificates={})}
    return own | dict(ssl.certificates)


def wanted(ssl: Ssl) -> CertificateOrder | None:
    """The certificate an `ssl` section asks for; None when it names no domains or no known authority."""
    found = directories(ssl)
    if not ssl.domains or not found:
        return None
    return CertificateOrder.of(ssl.domains, found[0], ssl.key_type, ssl.profile, found[1:])


def name_of(ssl: Ssl) -> str | None:
    """The name its target goes by: that of the first domain, without a wildcard."""
    if not ssl.domains:
        return None
    return ssl.domains[0].rstrip(".").lower().removeprefix("*.")


def what_is_due(order: CertificateOrder, state: CertificateState, is_due: bool) -> tuple[Want, str] | None:
    """Whether to issue or to renew, and why; None when what is installed is what is wanted and not due.

    An issue is what a person has not agreed to yet: the first certificate, other names, another authority or key type,
    and whatever replaces a revoked one. A renewal asks for the same again.
    """
    there = state.installed
    if there is None:
        return "issue", "there is no certificate yet"
    if there.revoked:
        return "issue", "the certificate that is installed was revoked"
    if there.names != order.names:
        return "issue", "the environment names other domains"
    if there.authority not in order.authorities:
        return "issue", "the environment names another authority"
    if (there.key_type, there.profile) != (order.key_type, order.profile):
        return "issue", "the environment names another key type or profile"
    return ("renew", f"it expires {there.not_after:%Y-%m-%d %H:%M} UTC") if is_due else None


def may_renew_alone(order: CertificateOrder, state: CertificateState) -> bool:
    """Whether a renewal needs no person: the same certificate as one whose issue a person agreed to (contract, `heal`)."""
    there = state.installed
    return there is not None and there.approved is not None and not there.revoked and there.order().asks_for_same(order)


def version_before(
    versions: Sequence[Installed], current: Installed | None, now: datetime, serial: str | None = None
) -> Installed | None:
    """The version to go back to: the newest good one before the current one, or the one with this serial (or its start)."""
    good = [one for one in versions if not one.revoked and one.not_after > now and one != current]
    if serial is not None:
        wanted_serial = serial.lower().replace(":", "")
        return next((one for one in good if one.serial.startswith(wanted_serial)), None)
    return next((one for one in good if current is None or one.version < current.version), None)


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate as it is listed: what is wanted, what is there, when it is due and why."""

    name: str
    wanted: CertificateOrder
    installed: Installed | None
    versions: tuple[Installed, ...]
    pending: PendingOrder | None
    renew_at: datetime | None
    reason: str
    kept_by: Keeper | None = None
    """Another machine that has the newest version."""


# -- an order under way -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChallengeRecord:
    """One TXT value that proves control of a name. `zone` and `name` say where it is written, after any CNAME."""

    zone: str
    name: str
    value: str
    domain: str
    """The name that is proved, without a wildcard."""

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {"zone": self.zone, "name": self.name, "value": self.value, "domain": self.domain}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> ChallengeRecord:
        """The record of its stored form."""
        return cls(data["zone"], data["name"], data["value"], data["domain"])


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order that was begun: enough to take it up again after a kill. Its key lies beside it, never in it.

    `records` are noted before they are written, so that whatever is in a zone because of this order is known by value.
    `installed` names the version that came of it, once there is one; what is left then is to clean up and to run the hook.
    """

    order: CertificateOrder
    started: datetime
    approved: str | None
    url: str | None = None
    records: tuple[ChallengeRecord, ...] = ()
    replaces: str | None = None
    installed: str | None = None
    problems: tuple[str, ...] = ()
    """What of cleaning up and of the hook failed the last time."""

    def data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "order": self.order.data(),
            "started": _text(self.started),
            "approved": self.approved,
            "url": self.url,
            "records": [record.data() for record in self.records],
            "replaces": self.replaces,
            "installed": self.installed,
            "problems": list(self.problems),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> PendingOrder:
        """The order of its stored form."""
        return cls(
            order=CertificateOrder.from_data(data["order"]),
            started=datetime.fromisoformat(data["started"]),
            approved=data["approved"],
            url=data["url"],
            records=tuple(ChallengeRecord.from_data(record) for record in data["records"]),
            replaces=data["replaces"],
            installed=data["installed"],
            problems=tuple(data.get("problems", ())),
        )


def _text(when: datetime) -> str:
    """RFC 3339 in UTC."""
    return when.isoformat().replace("+00:00", "Z")
