"""`sophia sandbox serve|reset|load`: the embedded Namecheap and DNS server."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import note, only, result

Data = Annotated[
    Path | None, typer.Option("--data", metavar="FILE", help="The account's data (default: in the state).")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The embedded Namecheap and DNS server.")
    app.add_typer(group, name="sandbox")

    @command(group, "serve")
    def serve(
        common: Common,
        http_port: Annotated[int, typer.Option("--http-port", metavar="N", min=0, max=65535, help="0: any.")] = 0,
        dns_port: Annotated[int, typer.Option("--dns-port", metavar="N", min=0, max=65535, help="0: any.")] = 0,
        data: Data = None,
        scenario: Annotated[
            Path | None, typer.Option("--scenario", metavar="FILE", help="Faults and switches (JSON).")
        ] = None,
    ) -> int:
        """Serve until stopped; once ready, print one JSON line that says where."""
        return _serve(common, http_port, dns_port, data, scenario)

    @command(group, "load")
    def load(
        common: Common,
        zone_file: Annotated[Path, typer.Argument(metavar="ZONE_FILE", help="A master file (RFC 1035).")],
        domain: Annotated[str, typer.Option("--domain", metavar="NAME", help="The domain it belongs to.")],
        email_type: Annotated[
            str | None, typer.Option("--email-type", metavar="T", help="NONE, MX, MXE, FWD, OX or GMAIL.")
        ] = None,
        data: Data = None,
    ) -> int:
        """Put a zone there, in place of what the domain held."""
        return _load(common, zone_file, domain, email_type, data)

    @command(group, "reset")
    def reset(common: Common, data: Data = None) -> int:
        """Empty the account."""
        from sophia_cli.sandbox import reset as empty

        only(common, Output.text)
        path = _data(common, data)
        empty(path)
        result(f"{path}: emptied\n")
        return 0


def _serve(common: Common, http_port: int, dns_port: int, data: Path | None, scenario: Path | None) -> int:
    from sophia_cli.sandbox import running

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with running(_data(common, data), http_port=http_port, dns_port=dns_port, scenario=scenario) as sandbox:
        result(json.dumps(sandbox.ready()) + "\n")
        stopped.wait()
    return 0


def _load(common: Common, zone_file: Path, domain: str, email_type: str | None, data: Path | None) -> int:
    from sophia_cli.core.errors import UsageError
    from sophia_cli.sandbox import load

    only(common, Output.text)
    try:
        text = zone_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{zone_file} cannot be read: {exc}") from exc
    path = _data(common, data)
    for left_out in load(path, text, domain, email_type):
        note(common, f"left out: {left_out}")
    result(f"{domain}: loaded into {path}\n")
    return 0


def _data(common: Common, data: Path | None) -> Path:
    """The data file: the one named, else the one `--sandbox` uses."""
    from sophia_cli.cli.state import local_state

    if data is not None:
        return data
    folder = local_state(common).root / "sandbox"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "account.json"
