"""The sandbox's data file: one JSON document shared by processes; replaced whole under a lock, never written in place.

Each domain stands on a line of its own, and what the lines last held is remembered: in an account of a thousand zones a
write encodes, and another process's read decodes, only the zones that changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from sophia_cli.core.errors import StateError
from sophia_cli.sandbox.account import Account, Certificate, Domain, Row, Version

T = TypeVar("T")
FORMAT = 1
_START = 48  # bytes that hold the format and the token
_LAST = b"]}"


class DataFile:
    """A data file that is made on first use. `read` reads a few bytes while nobody writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = Lock()
        self._seen: bytes | None = None
        self._account: Account | None = None
        self._domains: Mapping[bytes, Domain] = {}  # by line
        self._lines: Mapping[str, bytes] = {}  # by name

    def read(self) -> Account:
        """What the file holds now."""
        try:
            return self._current()
        except FileNotFoundError:
            return self.update(lambda account: (account, account))
        except OSError as error:
            raise StateError(f"{self.path}: cannot read the sandbox data: {error.strerror}") from error

    def update(self, change: Callable[[Account], tuple[Account, T]]) -> T:
        """Let `change` turn the account into another one; nobody else writes meanwhile. Nothing is written when it raises."""
        try:
            with self._locked():
                try:
                    before = self._current()
                except FileNotFoundError:
                    before = None
                after, result = change(before if before is not None else _fresh())
                if after is not before:
                    self._write(after)
                return result
        except OSError as error:
            raise StateError(f"{self.path}: cannot write the sandbox data: {error.strerror}") from error

    def _current(self) -> Account:
        with self._guard:
            # Every write starts the file with a new random token (inode and time of a file may be used again).
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                start = os.read(handle, _START)
                if self._account is None or start != self._seen:
                    with os.fdopen(handle, "rb", closefd=False) as file:
                        body = start + file.read()
                    self._account = self._decoded(body)
                    self._seen = start
            finally:
                os.close(handle)
            return self._account

    def _decoded(self, body: bytes) -> Account:
        head, *lines = body.split(b"\n")
        try:
            if not lines or lines.pop() != _LAST:  # some other layout of the same document
                data = json.loads(body)
                domains = {item["name"]: _domain(item) for item in data["domains"]}
            else:
                data = json.loads(head + _LAST)
                found = {line: self._domains.get(line) or _domain(json.loads(line.rstrip(b","))) for line in lines}
                domains = {domain.name: domain for domain in found.values()}
                self._remember(found)
            return _account(data, domains)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise StateError(
                f"{self.path}: not sandbox data of this version",
                hint="move it away, or name another file with --data",
            ) from error

    def _encoded(self, account: Account) -> list[bytes]:
        """The lines of the document; those of domains that did not change are the ones of the last time."""
        head = json.dumps(_data(account), separators=(",", ":")).encode()
        lines = [head.removesuffix(_LAST)]
        found = {}
        for number, domain in enumerate(account.domains.values(), 1):
            line = self._lines.get(domain.name, b"")
            if self._domains.get(line) is not domain:
                line = json.dumps(_domain_data(domain), separators=(",", ":")).encode()
            line = line.rstrip(b",") + (b"," if number < len(account.domains) else b"")
            found[line] = domain
            lines.append(line)
        self._remember(found)
        return [*lines, _LAST]

    def _remember(self, found: Mapping[bytes, Domain]) -> None:
        self._domains, self._lines = found, {domain.name: line for line, domain in found.items()}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, account: Account) -> None:
        with self._guard:
            body = b"\n".join(self._encoded(account))
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        with self._guard:  # the lock is still held, so nobody has written since
            self._account, self._seen = account, body[:_START]
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _fresh() -> Account:
    return Account(api_user="sandbox", api_key=secrets.token_hex(16), username="sandbox")


def _account(data: dict[str, Any], domains: Mapping[str, Domain]) -> Account:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}")
    return Account(
        api_user=data["api_user"],
        api_key=data["api_key"],
        username=data["username"],
        balance=Decimal(data["balance"]),
        next_id=data["next_id"],
        domains=domains,
        certificates=tuple(_certificate(item) for item in data["certificates"]),
        calls=tuple(data["calls"]),
    )


def _data(account: Account) -> dict[str, Any]:
    """All but the domains, whose list comes last."""
    return {
        "format": FORMAT,
        "token": secrets.token_hex(8),
        "api_user": account.api_user,
        "api_key": account.api_key,
        "username": account.username,
        "balance": str(account.balance),
        "next_id": account.next_id,
        "certificates": [_certificate_data(item) for item in account.certificates],
        "calls": list(account.calls),
        "domains": [],
    }


def _domain(data: dict[str, Any]) -> Domain:
    values = dict(data)
    values["created"] = date.fromisoformat(values["created"])
    values["expires"] = date.fromisoformat(values["expires"])
    values["rows"] = _rows(values["rows"])
    values["hidden"] = _rows(values["hidden"])
    values["nameservers"] = tuple(values["nameservers"])
    for name in ("forwards", "rights", "glue", "contact"):
        values[name] = tuple((first, second) for first, second in values.get(name, ()))
    values["history"] = tuple(
        Version(until, mode, _rows(rows), _rows(hidden)) for until, mode, rows, hidden in values["history"]
    )
    return Domain(**values)


def _domain_data(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "id": domain.id,
        "owner": domain.owner,
        "created": domain.created.isoformat(),
        "expires": domain.expires.isoformat(),
        "email_type": domain.email_type,
        "rows": _rows_data(domain.rows),
        "hidden": _rows_data(domain.hidden),
        "nameservers": domain.nameservers,
        "forwards": domain.forwards,
        "rights": domain.rights,
        "is_locked": domain.is_locked,
        "auto_renew": domain.auto_renew,
        "serial": domain.serial,
        "glue": domain.glue,
        "privacy": domain.privacy,
        "privacy_id": domain.privacy_id,
        "privacy_email": domain.privacy_email,
        "contact": domain.contact,
        "history": [
            (old.until, old.email_type, _rows_data(old.rows), _rows_data(old.hidden)) for old in domain.history
        ],
    }


def _rows(data: list[list[Any]]) -> tuple[Row, ...]:
    return tuple(Row(*item) for item in data)


def _rows_data(rows: tuple[Row, ...]) -> list[tuple[Any, ...]]:
    return [
        (
            row.host_id,
            row.name,
            row.type,
            row.address,
            row.mx_pref,
            row.ttl,
            row.is_active,
            row.is_ddns,
            row.associated_app,
            row.friendly_name,
        )
        for row in rows
    ]


def _certificate(data: dict[str, Any]) -> Certificate:
    expires = data["expires"]
    return Certificate(
        **{
            **data,
            "purchased": date.fromisoformat(data["purchased"]),
            "expires": date.fromisoformat(expires) if expires else None,
        }
    )


def _certificate_data(item: Certificate) -> dict[str, Any]:
    return {
        "id": item.id,
        "host_name": item.host_name,
        "type": item.type,
        "status": item.status,
        "purchased": item.purchased.isoformat(),
        "expires": item.expires.isoformat() if item.expires else None,
        "years": item.years,
        "order_id": item.order_id,
        "replaced_by": item.replaced_by,
        "csr": item.csr,
        "body": item.body,
        "issued_at": item.issued_at,
    }
