"""Time from the command to an installed certificate, against a real Pebble over the sandbox's zone, beside certbot and lego.

sophia proves the name in DNS: two whole-zone writes, each read back, and every name server asked before the authority is.
certbot and lego answer over HTTP on loopback, which writes nothing; so the difference is the price of DNS-01 done with care.

    .venv/bin/python bench/run.py --only issuance
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CERTBOT = "certbot==5.8.0"
RUNS = 3


def measure(row: Callable[..., None]) -> None:
    """Print the figures through `row(name, figure, beside)`; what cannot be had is said."""
    sys.path.insert(0, str(HERE.parent))
    from tests.providers.acme import pebble

    if not pebble.PROGRAMS:
        row("sophia cert issue", "skipped", pebble.MISSING)
        return
    with tempfile.TemporaryDirectory() as name:
        _measured(Path(name), row)


def _measured(folder: Path, row: Callable[..., None]) -> None:
    from sophia_cli.sandbox import running
    from tests.cli.certificate_stage import ZONE, Stage, put_back
    from tests.providers.acme import pebble

    data, port = folder / "namecheap.json", _free_port()
    put_back(data)
    (folder / "pebble").mkdir()
    with (
        running(data) as box,
        pebble.running(
            pebble.PROGRAMS[0], folder / "pebble", box, httpPort=port, certificateValidityPeriod=90 * 86400
        ) as ca,
    ):
        stage = Stage(box, ca, data, folder / "acme.yaml")
        stage.environment()
        words = ("cert", "issue", "--yes", "-q", "-e", str(stage.file), "--wait", "0")
        ours, calls, rows = [], 0, stage.rows()
        for number in range(RUNS):
            before = len(box.calls())
            command = (sys.executable, "-m", "sophia_cli", *words, *(("--force",) if number else ()))
            ours.append(_took(command, folder, {}))
            calls = len(box.calls()) - before
        left = "zone as before" if stage.rows() == rows else "the zone is not as before"
        row(
            f"sophia cert issue, {pebble.PROGRAMS[0].name}",
            f"{min(ours):7.2f} s min of {RUNS}",
            f"{calls} provider calls, {left}",
        )
        for tool, found, why in (("certbot", *_certbot()), ("lego", shutil.which("lego"), "lego is not on PATH")):
            if found is None:
                row(f"{tool}, HTTP-01", "skipped", why)
                continue
            made = _certbot_words if tool == "certbot" else _lego_words
            took = [_took(*made(str(found), folder / f"{tool}{number}", ca, port, ZONE)) for number in range(RUNS)]
            row(
                f"{tool}, HTTP-01",
                f"{min(took):7.2f} s min of {RUNS}",
                f"sophia takes {min(ours) / min(took):.2f} x as long",
            )


def _took(words: Sequence[str], folder: Path, more: dict[str, str]) -> float:
    """Wall seconds of a command that has to succeed."""
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOPHIA_", "NAMECHEAP_"))}
    started = time.perf_counter()
    done = subprocess.run(
        words,
        cwd=HERE.parent,
        env={**kept, "HOME": str(folder), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - started


def _certbot() -> tuple[Path | str | None, str]:
    """The certbot on PATH, else that of bench/.venv, made when it is not there; why not, where it cannot be had."""
    found = shutil.which("certbot")
    if found is not None:
        return found, ""
    venv = HERE / ".venv"
    tool = venv / "bin" / "certbot"
    try:
        if not (venv / "bin" / "pip").exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True, timeout=60)
        if not tool.exists():
            pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", CERTBOT]
            subprocess.run(pip, check=True, capture_output=True, text=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as exc:
        said = str(getattr(exc, "stderr", "") or exc).strip().splitlines()
        return None, f"{CERTBOT} cannot be installed here: {said[-1][:80] if said else exc}"
    return tool, ""


def _certbot_words(tool: str, folder: Path, ca: Any, port: int, name: str) -> tuple[list[str], Path, dict[str, str]]:
    places = [f"--{kind}-dir={folder / kind}" for kind in ("config", "work", "logs")]
    words = [tool, "certonly", "--standalone", f"--http-01-port={port}", "--non-interactive", "--agree-tos", "-m"]
    words += ["ops@acme.example", "--server", ca.directory, "-d", name, "--preferred-profile=classic", *places]
    return words, folder, {"REQUESTS_CA_BUNDLE": str(ca.ca_file)}


def _lego_words(tool: str, folder: Path, ca: Any, port: int, name: str) -> tuple[list[str], Path, dict[str, str]]:
    words = [tool, "--server", ca.directory, "--accept-tos", "--email", "ops@acme.example", "--path", str(folder)]
    words += ["--domains", name, "--http", "--http.port", f":{port}", "run"]
    return words, folder, {"LEGO_CA_CERTIFICATES": str(ca.ca_file)}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
