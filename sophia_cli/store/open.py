"""Opening the state: a directory, or a server by its URL. Opens nothing before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.core.errors import UsageError
from sophia_cli.core.ports import Clock, Store
from sophia_cli.store.local import local_store

if TYPE_CHECKING:
    from sophia_cli.store.documents import Documents
    from sophia_cli.store.ledger import FileLedger, RedisLedger


def is_url(where: str | Path) -> bool:
    """Whether a state is named by URL rather than by directory."""
    return isinstance(where, str) and "://" in where


def open_state(where: str | Path, clock: Clock, local: Path | None = None) -> Store:
    """The state in a directory or behind a URL; a URL needs `local`, the directory of the journal's local copy.

    Raises `UsageError` for a URL that cannot be used, without repeating it: it may hold a password.
    """
    if not is_url(where):
        return local_store(Path(where), clock)
    from sophia_cli.store.redis import redis_store

    if local is None:
        raise UsageError("a state behind a URL needs a directory for the local journal", hint="give one")
    return redis_store(str(where), clock, local)


def open_documents(where: str | Path) -> Documents:
    """The small documents of the same state."""
    from sophia_cli.store.directory import Directory
    from sophia_cli.store.documents import FileDocuments, RedisDocuments

    if not is_url(where):
        return FileDocuments(Directory(Path(where)))
    from sophia_cli.store.redis_server import Server, address_of

    return RedisDocuments(Server(address_of(str(where))))


def open_ledger(where: str | Path, account: str, clock: Clock) -> FileLedger | RedisLedger:
    """The record of an account's calls in the same state; `account` is endpoint and user, and is stored as a digest."""
    from sophia_cli.store.directory import Directory
    from sophia_cli.store.ledger import FileLedger, RedisLedger

    if not is_url(where):
        return FileLedger(Directory(Path(where)), account, clock)
    from sophia_cli.store.redis_server import Server, address_of

    return RedisLedger(Server(address_of(str(where))), account)


def shown_state(where: str | Path) -> str:
    """The state as it may be printed: never with its password."""
    if not is_url(where):
        return str(where)
    from sophia_cli.store.redis_server import address_of

    return address_of(str(where)).shown


def secrets_of_state(where: str | Path) -> tuple[str, ...]:
    """What of the state's URL must be redacted wherever it shows up."""
    if not is_url(where):
        return ()
    from sophia_cli.store.redis_server import address_of

    return address_of(str(where)).secrets
