"""Faults on demand: what goes wrong, at which call, how often. Decides only; the servers carry it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from threading import Lock
from typing import Any

# Kinds that decide the whole answer to a call: the first that matches is used, the next waits for the next call.
ANSWERS = (
    "timeout_before",
    "timeout_after",
    "drop_before",
    "drop_after",
    "http_405",
    "error_500000",
    "error_3050750",
    "error_5050900",
    "error",
    "html_200",
    "html_5xx",
    "status",
    "empty",
)
# Kinds that spoil the answer's bytes after the call was done.
BYTES = ("truncated", "wrong_namespace", "email_type_missing", "wrong_encoding", "replace")
# Kinds that change what is stored or seen, or when.
STATE = ("latency", "lost_update", "email_type_reset", "rows_dropped", "rows_reordered", "stale_read")
DNS = ("dns_lag", "dns_wrong", "dns_silent", "dns_servfail", "dns_refused")
KINDS = (*ANSWERS, *BYTES, *STATE, *DNS)

_COMMAND = {
    "lost_update": "getHosts",
    "email_type_reset": "setHosts",
    "rows_dropped": "setHosts",
    "rows_reordered": "getHosts",
    "stale_read": "getHosts",
    "email_type_missing": "getHosts",
}
# Whether the call is executed although its answer is spoilt, unless the fault says otherwise.
_EXECUTED = frozenset({"timeout_after", "drop_after", "empty", *BYTES})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `command` is the last part of a command's name, or `*`; `count` None means until it is cleared.

    `skip` lets that many matching calls pass first. `seconds` is the time a latency, time-out or lag takes.
    For `lost_update` another writer adds and removes rows after a getHosts or before a setHosts (`after: true` turns that
    round); rows are `{"name", "type", "address", "ttl", "mx_pref"}`, removals `{"name", "type"}` and perhaps `"address"`.
    For DNS kinds `name` (absolute) and `type` narrow the questions and `value` is the wrong answer.
    """

    kind: str
    command: str = "*"
    domain: str = ""
    count: int | None = 1
    skip: int = 0
    seconds: float | None = None
    executed: bool | None = None
    after: bool | None = None
    number: int = 0
    text: str = ""
    status: int = 503
    value: str = ""
    old: str = ""
    rows: int = 1
    add: tuple[Mapping[str, Any], ...] = ()
    remove: tuple[Mapping[str, Any], ...] = ()
    name: str = ""
    type: str = ""

    @property
    def is_executed(self) -> bool:
        """Whether the call changes the account although its answer is spoilt."""
        return self.kind in _EXECUTED if self.executed is None else self.executed

    def matches(self, command: str, domain: str) -> bool:
        """Whether the fault is for this call."""
        wanted = self.command.lower()
        return (wanted == "*" or command.lower() == wanted or command.lower().endswith("." + wanted)) and (
            not self.domain or self.domain.lower() == domain
        )

    def asks(self, name: str, kind: str) -> bool:
        """Whether the fault is for this DNS question."""
        inside = not self.domain or name == self.domain.lower() or name.endswith("." + self.domain.lower())
        return (
            inside
            and (not self.name or self.name.lower().rstrip(".") == name)
            and (not self.type or self.type.upper() == kind)
        )


def fault(data: Mapping[str, Any]) -> Fault:
    """The fault of its JSON form; raises ValueError for what is not known."""
    known = {item.name for item in fields(Fault)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"unknown fields of a fault: {', '.join(unknown)}")
    if data.get("kind") not in KINDS:
        raise ValueError(f"fault kind {data.get('kind')!r}: one of {', '.join(KINDS)}")
    values = dict(data)
    values.setdefault("command", _COMMAND.get(values["kind"], "*"))
    for name in ("add", "remove"):
        values[name] = tuple(values.get(name, ()))
    return Fault(**values)


class Faults:
    """The faults that are still to come. Safe to use from many threads."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = Lock()
        self._faults = list(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Put faults behind those that are there."""
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._faults.clear()

    def left(self) -> tuple[Fault, ...]:
        """The faults that are still to come."""
        with self._lock:
            return tuple(self._faults)

    def for_call(self, command: str, domain: str) -> tuple[Fault, ...]:
        """The faults of one API call, used up by it; of those that decide the answer only one."""
        return self._taken(tuple(kind for kind in KINDS if kind not in DNS), lambda item: item.matches(command, domain))

    def for_question(self, name: str, kind: str) -> tuple[Fault, ...]:
        """The faults of one DNS question, used up by it."""
        return self._taken(DNS, lambda item: item.asks(name, kind))

    def _taken(self, kinds: tuple[str, ...], matches: Any) -> tuple[Fault, ...]:
        taken: list[Fault] = []
        kept: list[Fault] = []
        decided = False
        with self._lock:
            if not self._faults:
                return ()
            for item in self._faults:
                decides = item.kind in ANSWERS or item.kind in BYTES
                if item.kind not in kinds or not matches(item) or (decides and decided):
                    kept.append(item)
                elif item.skip > 0:
                    kept.append(replace(item, skip=item.skip - 1))
                else:
                    taken.append(item)
                    decided = decided or decides
                    if item.count is None or item.count > 1:
                        kept.append(replace(item, count=None if item.count is None else item.count - 1))
            self._faults = kept
        return tuple(taken)
