"""One door to the commands: `run("plan", ...)` gives (code, stdout, stderr), in process, or as a process where it matters."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sophia_cli.cli.app import main
from sophia_cli.sandbox import Sandbox, running, seed

DOMAIN = "acme.example"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The data of the one JSON document on stdout."""
        return json.loads(self.out)["data"]

    @property
    def error(self) -> Any:
        """The data of the one JSON error on stderr (progress before it is left out)."""
        return json.loads(self.err[self.err.index("{\n") :])["data"]


class _Text(io.StringIO):
    """A stream that is no terminal and has a file number nobody uses."""

    def isatty(self) -> bool:
        return False


def run(*words: str) -> Ran:
    """Run a command in this process, with no terminal."""
    out, err = _Text(), _Text()
    stdin = sys.stdin
    sys.stdin = _Text()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(words))
    finally:
        sys.stdin = stdin
    return Ran(code, out.getvalue(), err.getvalue())


def spawn(*words: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 60) -> Ran:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "sophia_cli", *words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


ROWS = (
    ("@", "A", "203.0.113.10", 1800),
    ("api", "A", "203.0.113.10", 1800),
    ("www", "CNAME", "acme.example.", 1800),
    ("mail", "A", "203.0.113.20", 1800),
    ("@", "MX", "mail.acme.example.", 1800, 10),
    ("@", "TXT", "v=spf1 mx -all", 1800),
    ("@", "TXT", "google-site-verification=abc", 1800),
    ("old", "A", "203.0.113.30", 1800),
    ("x1", "A", "203.0.113.41", 1800),
    ("x2", "A", "203.0.113.42", 1800),
)


class Shop:
    """A sandbox account with one zone, and an environment file that points at it."""

    def __init__(self, sandbox: Sandbox, folder: Path, data: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.data_file = data
        self.file = folder / "acme.yaml"

    def environment(self, *records: str, dns: str = "", more: str = "", **provider: str) -> None:
        """Write the environment: records as flow maps, extra lines of `dns`, extra sections."""
        keys = {
            "api_user": self.sandbox.api_user,
            "api_key": self.sandbox.api_key,
            "username": self.sandbox.username,
            "endpoint": self.sandbox.endpoint,
            **provider,
        }
        lines = ["values:", "  dns:", f"    domain: {DOMAIN}", f'    nameservers: ["{self.sandbox.dns}"]']
        lines += [f"    {line}" for line in dns.splitlines() if line.strip()]
        lines += ["    records:", *(f"      r{number}: {record}" for number, record in enumerate(records))]
        if not records:
            lines[-1] = "    records: {}"
        lines += ["  namecheap:"]
        lines += [
            f"    {key}: " + (value if key == "endpoint" else "{fn::secret: " + value + "}")
            for key, value in keys.items()
        ]
        lines += [f"  {line}" for line in more.splitlines()]
        self.file.write_text("\n".join(lines) + "\n")

    def run(self, *words: str) -> Ran:
        """Run a command against this environment."""
        return run(*words, "-e", str(self.file), "--wait", "0")

    def rows(self) -> set[tuple[str, str, str]]:
        """What the zone holds, read beside the API."""
        from sophia_cli.sandbox import peek

        domain = peek(self.data_file, DOMAIN)
        assert domain is not None
        return {(row.name, row.type, row.address) for row in domain.rows}

    def email_type(self) -> str:
        from sophia_cli.sandbox import peek

        domain = peek(self.data_file, DOMAIN)
        assert domain is not None
        return str(domain.email_type)


@contextlib.contextmanager
def shop(folder: Path, *rows: tuple[Any, ...], email_type: str = "MX") -> Iterator[Shop]:
    """A running sandbox with the zone `acme.example`."""
    data = folder / "namecheap.json"
    seed(data, DOMAIN, email_type=email_type, rows=rows or ROWS)
    with running(data) as sandbox:
        yield Shop(sandbox, folder, data)
