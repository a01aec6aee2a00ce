"""Changes: typed statements of what one write would do. Does no I/O and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from sophia_cli.core.dns import Record

Kind = Literal["dns.record", "dns.email_type", "dns.nameservers", "config.value"]
Action = Literal["create", "update", "delete"]
Risk = Literal["low", "medium", "high", "critical"]
KINDS: tuple[Kind, ...] = ("dns.record", "dns.email_type", "dns.nameservers", "config.value")
ACTIONS: tuple[Action, ...] = ("create", "update", "delete")
RISKS: tuple[Risk, ...] = ("low", "medium", "high", "critical")

SECRET = "[secret]"
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


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """One value of the environment's own file as a payload; `value` is JSON data."""

    path: str
    value: Any

    def data(self) -> dict[str, Any]:
        """The public shape (`config.value`)."""
        return {"path": self.path, "value": self.value}


Payload = Record | EmailMode | Delegation | ConfigValue


@dataclass(frozen=True, slots=True)
class Change:
    """One create, update or delete. `risk`, `reversible` and `source` are set by code, never by who proposed it.

    `hidden` names the fields of `after` that were computed from secrets and are shown as `[secret]`.
    `source` is `config`, `drift`, `rule:ID`, `model:HOST` or `user`.
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

    def data(self) -> dict[str, Any]:
        """The public shape of a change (contract, `sophia.plan/1`); it is also what the plan's digest hashes."""
        return {
            "id": self.id,
            "target": self.target,
            "kind": self.kind,
            "action": self.action,
            "before": None if self.before is None else self.before.data(),
            "after": None if self.after is None else _masked(self.after.data(), self.hidden),
            "risk": self.risk,
            "reversible": self.reversible,
            "source": self.source,
            "reason": self.reason,
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
        )

    def inverse(self) -> Change:
        """The change that undoes this one."""
        flipped: dict[Action, Action] = {"create": "delete", "update": "update", "delete": "create"}
        return replace(self, action=flipped[self.action], before=self.after, after=self.before)


def _masked(data: dict[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    return {key: SECRET if key in hidden else value for key, value in data.items()}


def _payload(kind: Kind, data: dict[str, Any] | None) -> Payload | None:
    if data is None:
        return None
    if kind == "dns.record":
        return Record.from_data(data)
    if kind == "dns.email_type":
        return EmailMode(data["email_type"])
    if kind == "dns.nameservers":
        return Delegation(tuple(data["nameservers"]))
    return ConfigValue(data["path"], data["value"])
