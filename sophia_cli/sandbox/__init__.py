"""The embedded Namecheap (real HTTP on loopback) and authoritative DNS server (UDP and TCP). Never listens beyond loopback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sophia_cli.sandbox.account import Domain
    from sophia_cli.sandbox.server import Backend


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox: where it listens and who may call it."""

    endpoint: str
    dns: str
    api_user: str
    api_key: str = field(repr=False)
    username: str
    domains: tuple[str, ...]
    _backend: Backend = field(repr=False, compare=False)

    def ready(self) -> dict[str, Any]:
        """The line that `sophia sandbox serve` prints once it is ready (contract)."""
        return {
            "endpoint": self.endpoint,
            "dns": self.dns,
            "api_user": self.api_user,
            "api_key": self.api_key,
            "username": self.username,
            "domains": list(self.domains),
        }

    def fault(self, kind: str, **fields: Any) -> None:
        """Let something go wrong; fields as in `faults.Fault`."""
        self.control(faults=[{"kind": kind, **fields}])

    def switch(self, **positions: Any) -> None:
        """Set switches, as in `account.Switches`."""
        self.control(switches=positions)

    def edit(
        self,
        domain: str,
        add: Sequence[Mapping[str, Any]] = (),
        remove: Sequence[Mapping[str, Any]] = (),
        email_type: str | None = None,
    ) -> None:
        """Change a zone as another writer would: rows `{"name", "type", "address", "ttl", "mx_pref"}`."""
        self.control(edit={"domain": domain, "add": add, "remove": remove, "email_type": email_type})

    def control(self, **data: Any) -> dict[str, Any]:
        """What `POST /control` does; gives the switches, the faults left, the calls made and the number of DNS questions."""
        return self._backend.control(data)

    def calls(self) -> list[str]:
        """The commands called so far, by their last part."""
        return [entry["command"].rpartition(".")[2] for entry in self._backend.log]


@contextmanager
def running(
    data: Path,
    *,
    http_port: int = 0,
    dns_port: int = 0,
    scenario: Path | None = None,
    domains: Iterable[str] = (),
) -> Iterator[Sandbox]:
    """A sandbox over a data file; several may share one. `domains` not in it yet are registered to its account.

    A port of 0 is any free one. Raises StateError for data, UsageError for a scenario that cannot be used.
    """
    from sophia_cli.sandbox.data import DataFile
    from sophia_cli.sandbox.nameserver import NameServer
    from sophia_cli.sandbox.server import Backend, HttpServer

    switches, faults = _scenario(scenario)
    backend = Backend(DataFile(data), switches, faults)
    _register(backend, domains)
    account = backend.data.read()
    http = _listening(lambda: HttpServer(http_port, backend), "--http-port", http_port)
    try:
        names = _listening(lambda: NameServer(dns_port, backend), "--dns-port", dns_port)
    except BaseException:
        http.server_close()
        raise
    http.start()
    names.start()
    try:
        yield Sandbox(
            endpoint=f"http://127.0.0.1:{http.server_port}/xml.response",
            dns=f"127.0.0.1:{names.port}",
            api_user=account.api_user,
            api_key=account.api_key,
            username=account.username,
            domains=tuple(sorted(domain.name for domain in account.owned())),
            _backend=backend,
        )
    finally:
        http.close()
        names.close()


def _listening(make: Any, option: str, port: int) -> Any:
    from sophia_cli.core.errors import UsageError

    try:
        return make()
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} of loopback cannot be used: {error}", hint=f"choose another {option}") from error


def _scenario(path: Path | None) -> tuple[Any, Any]:
    import json

    from sophia_cli.core.errors import UsageError
    from sophia_cli.sandbox.account import Switches
    from sophia_cli.sandbox.faults import fault

    if path is None:
        return Switches(), ()
    try:
        data = json.loads(path.read_text())
        unknown = sorted(set(data) - {"switches", "faults"})
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(unknown)}")
        return Switches().with_data(data.get("switches", {})), tuple(fault(item) for item in data.get("faults", ()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not a scenario: {error}") from error


def _register(backend: Backend, domains: Iterable[str]) -> None:
    from datetime import UTC, datetime

    from sophia_cli.sandbox.account import Account, new_domain
    from sophia_cli.sandbox.commands.call import alabel

    names = [alabel(name) for name in domains]
    today = datetime.fromtimestamp(backend.now(), UTC).date()

    def change(account: Account) -> tuple[Account, None]:
        for name in names:
            if name not in account.domains:
                account = new_domain(account, name, today, backend.switches)
        return account, None

    backend.data.update(change)


def load(data: Path, zone_text: str, domain: str, email_type: str | None = None) -> tuple[str, ...]:
    """Replace a domain's rows by those of a master file (RFC 1035); the domain is registered when it is new.

    Without `email_type`: MX when the file has MX rows, else what the domain has (NONE for a new one). SRV rows are published
    but hidden from getHosts, as rows made in the web console are. Gives what was left out, as `NAME TYPE`.
    Raises UsageError for a file that cannot be read.
    """
    from sophia_cli.core.errors import UsageError
    from sophia_cli.sandbox.account import EMAIL_TYPES
    from sophia_cli.sandbox.zonefile import rows_of

    if email_type is not None and email_type not in EMAIL_TYPES:
        raise UsageError(f"unknown e-mail type {email_type!a}", hint=f"one of {', '.join(EMAIL_TYPES)}")
    loaded = rows_of(zone_text, domain)
    if email_type is None and any(row.type == "MX" for row in loaded.rows):
        email_type = "MX"
    seed(data, domain, email_type=email_type, rows=loaded.rows, hidden=loaded.hidden)
    return loaded.skipped


def seed(
    data: Path,
    domain: str,
    *,
    email_type: str | None = None,
    rows: Iterable[Any] = (),
    hidden: Iterable[Any] = (),
    **fields: Any,
) -> None:
    """Put a domain there as it is given: rows are `account.Row` or `(name, type, address[, ttl[, mx_pref]])`.

    Other fields are those of `account.Domain` (owner, rights, nameservers, expires, ...). Nothing is checked or normalised.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from sophia_cli.sandbox.account import Account, Row, new_domain, ordered
    from sophia_cli.sandbox.commands.call import alabel
    from sophia_cli.sandbox.data import DataFile

    name = alabel(domain)

    def row_of(item: Any) -> Row:
        if isinstance(item, Row):
            return item
        host, kind, address, *rest = item
        ttl = rest[0] if rest else 1800
        preference = rest[1] if len(rest) > 1 else 10
        return Row(0, host, kind, address, preference, ttl)

    def change(account: Account) -> tuple[Account, None]:
        is_new = name not in account.domains
        if is_new:
            account = new_domain(account, name, datetime.now(UTC).date())
        mode = email_type or ("NONE" if is_new else account.domains[name].email_type)
        placed = [replace(row_of(item), host_id=account.next_id + at) for at, item in enumerate((*rows, *hidden))]
        count = len(placed) - len(tuple(hidden))
        changed = replace(
            account.domains[name],
            email_type=mode,
            rows=ordered(placed[:count]),
            hidden=tuple(placed[count:]),
            history=(),
            **fields,
        )
        return replace(account.with_domain(changed), next_id=account.next_id + len(placed)), None

    rows, hidden = tuple(rows), tuple(hidden)
    DataFile(data).update(change)


def peek(data: Path, domain: str) -> Domain | None:
    """What a data file holds for a domain, without any call being made."""
    from sophia_cli.sandbox.commands.call import alabel
    from sophia_cli.sandbox.data import DataFile

    return DataFile(data).read().domains.get(alabel(domain))


def reset(data: Path) -> None:
    """Empty a data file: no domains, no certificates, the starting balance. The credentials stay."""
    from sophia_cli.sandbox.account import Account
    from sophia_cli.sandbox.data import DataFile

    def change(account: Account) -> tuple[Account, None]:
        return Account(account.api_user, account.api_key, account.username, next_id=account.next_id), None

    DataFile(data).update(change)
