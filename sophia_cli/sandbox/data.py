"""The sandbox's data file: one JSON document shared by processes; replaced whole under a lock, never written in place."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
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


class DataFile:
    """A data file that is made on first use. `read` reads a few bytes while nobody writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = Lock()
        self._seen: bytes | None = None
        self._account: Account | None = None

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
            with self.path.open("rb") as file:
                start = file.read(_START)
                if self._account is None or start != self._seen:
                    self._account = _account(self.path, start + file.read())
                    self._seen = start
            return self._account

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
        body = json.dumps(_data(account), separators=(",", ":")).encode()
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
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _fresh() -> Account:
    return Account(api_user="sandbox", api_key=secrets.token_hex(16), username="sandbox")


def _account(path: Path, body: bytes) -> Account:
    try:
        data = json.loads(body)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        return Account(
            api_user=data["api_user"],
            api_key=data["api_key"],
            username=data["username"],
            balance=Decimal(data["balance"]),
            next_id=data["next_id"],
            domains={item["name"]: _domain(item) for item in data["domains"]},
            certificates=tuple(_certificate(item) for item in data["certificates"]),
            calls=tuple(data["calls"]),
        )
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise StateError(
            f"{path}: not sandbox data of this version", hint="move it away, or name another file with --data"
        ) from error


def _data(account: Account) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "token": secrets.token_hex(8),
        "api_user": account.api_user,
        "api_key": account.api_key,
        "username": account.username,
        "balance": str(account.balance),
        "next_id": account.next_id,
        "domains": [_domain_data(domain) for domain in account.domains.values()],
        "certificates": [_certificate_data(item) for item in account.certificates],
        "calls": list(account.calls),
    }


def _domain(data: dict[str, Any]) -> Domain:
    values = dict(data)
    values["created"] = date.fromisoformat(values["created"])
    values["expires"] = date.fromisoformat(values["expires"])
    values["rows"] = _rows(values["rows"])
    values["hidden"] = _rows(values["hidden"])
    values["nameservers"] = tuple(values["nameservers"])
    for name in ("forwards", "rights", "glue"):
        values[name] = tuple((first, second) for first, second in values[name])
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
