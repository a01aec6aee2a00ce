"""Changes: typed statements of what one write would do. Does no I/O and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from sophia_cli.core.canonical import digest_of
from sophia_cli.core.certificates import CertificateOrder
from sophia_cli.core.dns import Record
from sophia_cli.core.leaks import HIDDEN, shown_value
from sophia_cli.core.secret_versions import SecretVersions
from sophia_cli.core.stacks import Resource

Kind = Literal[
    "dns.record",
    "dns.email_type",
    "dns.nameservers",
    "config.value",
    "stack.resource",
    "stack.config",
    "cert.issue",
    "cert.renew",
    "cert.revoke",
    "secret.rotate",
]
Action = Literal["create", "update", "delete", "replace", "import", "refresh", "unknown"]
Risk = Literal["low", "medium", "high", "critical"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ACTIONS: tuple[Action, ...] = get_args(Action)
RISKS: tuple[Risk, ...] = ("low", "medium", "high", "critical")

SECRET = HIDDEN
UNKNOWN = "[unknown]"


@dataclass(frozen=True, slots=True)
class EmailMode:
    """A zone's mail mode as a payload."""

    email_type: str

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `dns.email_type`)."""
        return {"email_type": self.email_type}


@dataclass(frozen=True, slots=True)
class Delegation:
    """A domain's name servers as a payload; empty means the provider's default servers."""

    nameservers: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """The public shape (`dns.nameservers`)."""
        return {"nameservers": list(self.nameservers)}

    def digest(self) -> str:
        """`sha256:...` of the content: what a plan is bound to."""
        return digest_of(self.data())


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """One value of the environment's own file as a payload; `value` is JSON data.

    A secret value is never held here: `value` is then `[secret]`, and `seal` the keyed digest that tells whether it is
    the one that stands in the file. Who writes it has the value in its own memory, or cannot write it.
    """

    path: str
    value: Any
    seal: str | None = None

    def data(self) -> dict[str, Any]:
        """The public shape (`config.value`)."""
        shown = {"path": self.path, "value": self.value}
        return shown if self.seal is None else {**shown, "seal": self.seal}


Payload = Record | EmailMode | Delegation | ConfigValue | Resource | CertificateOrder | SecretVersions


@dataclass(frozen=True, slots=True)
class Change:
    """One create, update or delete. `risk`, `reversible` and `source` are set by code, never by who proposed it.

    `hidden` names the fields of `after` that were computed from secrets and are shown as `[secret]`.
    `source` is `config`, `drift`, `rule:ID`, `model:HOST` or `user`. `takes` names the stack output that the value of
    `after` comes from, such as `stack:organization/shop/prod#ip`; a value that no preview knows is `[unknown]` until then.
    """

    target: str
    kind: Kind
    action: Action
    before: Payload | None
    after: Payload | None
    source: str = "config"
    reason: str = ""
    risk: Risk = "low"
    reversible: bool = True
    id: str = ""
    hidden: frozenset[str] = frozenset()
    takes: str | None = None

    def data(self) -> dict[str, Any]:
        """The public shape of a change (contract, `sophia.plan/1`): a TXT that looks like a secret is shown as `[secret]`."""
        return self._form(shown)

    def stored(self) -> dict[str, Any]:
        """The form that the journal keeps, so that a run can be undone, and that the plan's digest hashes."""
        return self._form(lambda payload: payload.data())

    def _form(self, form: Callable[[Payload], dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "target": self.target,
            "kind": self.kind,
            "action": self.action,
            "before": None if self.before is None else form(self.before),
            "after": None if self.after is None else _masked(form(self.after), self.hidden),
            "risk": self.risk,
            "reversible": self.reversible,
            "source": self.source,
            "reason": self.reason,
            **({} if self.takes is None else {"takes": self.takes}),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Change:
        """The change of its public shape; masked fields stay masked, so such a change can be shown but not applied."""
        return cls(
            target=data["target"],
            kind=data["kind"],
            action=data["action"],
            before=_payload(data["kind"], data["before"]),
            after=_payload(data["kind"], data["after"]),
            source=data["source"],
            reason=data["reason"],
            risk=data["risk"],
            reversible=data["reversible"],
            id=data["id"],
            hidden=frozenset(key for key, value in (data["after"] or {}).items() if value == SECRET),
            takes=data.get("takes"),
        )

    def inverse(self) -> Change:
        """The change that undoes this one."""
        flipped: dict[Action, Action] = {"create": "delete", "delete": "create", "import": "delete"}
        return replace(self, action=flipped.get(self.action, self.action), before=self.after, after=self.before)


def delegation_target(name: str) -> str:
    """The target id of a domain's delegation, which is apart from its records: `delegation:example.com`."""
    return f"delegation:{name}"


def shown(payload: Payload) -> dict[str, Any]:
    """A payload's public shape; serving a record makes its secret public, repeating it in reports does no less harm."""
    data = payload.data()
    return {**data, "value": shown_value(payload)} if isinstance(payload, Record) else data


def _masked(data: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    return {key: SECRET if key in hidden else value for key, value in data.items()}


def _payload(kind: Kind, data: dict[str, Any] | None) -> Payload | None:
    if data is None:
        return None
    return _PAYLOADS[kind](data)


_PAYLOADS: Mapping[Kind, Callable[[dict[str, Any]], Payload]] = {
    "dns.record": Record.from_data,
    "dns.email_type": lambda data: EmailMode(data["email_type"]),
    "dns.nameservers": lambda data: Delegation(tuple(data["nameservers"])),
    "config.value": lambda data: ConfigValue(data["path"], data["value"], data.get("seal")),
    "stack.resource": Resource.from_data,
    "stack.config": lambda data: ConfigValue(data["path"], data["value"]),
    "cert.issue": CertificateOrder.from_data,
    "cert.renew": CertificateOrder.from_data,
    "cert.revoke": CertificateOrder.from_data,
    "secret.rotate": SecretVersions.from_data,
}
