"""Benchmarks: each figure stands beside a named baseline measured in the same run. Asserts nothing; needs no network.

    make bench                      everything, 100 000 records included (some minutes)
    make bench ARGS=--quick         without them
    .venv/bin/python bench/run.py --only diff

octoDNS is installed into bench/.venv for the comparison; where that cannot be done the line says so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia_cli.sandbox import Sandbox

HERE = Path(__file__).parent
ROOT = HERE.parent
OCTODNS = ("octodns==1.22.0", "octodns-bind==1.1.0")
SOPHIA = (sys.executable, "-m", "sophia_cli")
LATENCY_S = 0.5
FIXED_WAIT_S = 60.0

BARE_TYPER = """
import typer
app = typer.Typer(add_completion=False)
@app.command()
def one(name: str = "x") -> None:
    "One."
@app.command()
def two() -> None:
    "Two."
app()
"""


@dataclass(frozen=True)
class Cost:
    """What processes cost: CPU (user and system) and wall seconds, one entry a run; the greatest peak of memory, in bytes."""

    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]
    peak: int

    def __str__(self) -> str:
        return f"{min(self.cpu_s):7.3f} s min {statistics.median(self.cpu_s):7.3f} s median CPU"


def process(words: Sequence[str], runs: int, cwd: Path | None = None, ok: Sequence[int] = (0,)) -> Cost:
    """Run a command some times. Its output goes nowhere; a wrong exit code is an error."""
    cpu, wall, peak = [], [], 0
    for _ in range(runs):
        started = time.perf_counter()
        child = subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment())
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall.append(time.perf_counter() - started)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in ok:
            raise SystemExit(f"{' '.join(words)}: exit {child.returncode}\n{said.decode(errors='replace')[-2000:]}")
        cpu.append(usage.ru_utime + usage.ru_stime)
        peak = max(peak, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    return Cost(tuple(cpu), tuple(wall), peak)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOPHIA_", "NAMECHEAP_"))}
    return {**kept, "PYTHONHASHSEED": "0"}


def say(text: str = "") -> None:
    print(text, flush=True)


def row(name: str, figure: str, beside: str = "") -> None:
    say(f"  {name:<44} {figure:<44} {beside}".rstrip())


def ratio(cost: Cost, base: Cost, name: str) -> str:
    return f"{min(cost.cpu_s) / min(base.cpu_s):.2f} x {name}"


# -- what is measured -------------------------------------------------------------------------------------------------


class Bare:
    """The baseline of a constructor: an object with slots and nothing else."""

    __slots__ = ()


def agents(_: argparse.Namespace) -> None:
    """Constructing each of the six agents, beside a bare slotted object."""
    import sophia_cli

    names = [name for name in sophia_cli.__all__ if name.startswith("Sophia") and name != "SophiaInfrastructureAgent"]
    bare = _nanoseconds(Bare)
    row("bare slotted object", f"{bare:8.1f} ns")
    for name in names:
        took = _nanoseconds(getattr(sophia_cli, name))
        row(name, f"{took:8.1f} ns", f"{took / bare:.2f} x bare object")


def _nanoseconds(make: Callable[[], object]) -> float:
    number = 200_000
    return min(timeit.repeat(make, number=number, repeat=5)) / number * 1e9


def startup(_: argparse.Namespace) -> None:
    """Whole processes: `sophia --help`, a bare Typer program, an empty interpreter."""
    runs = 11
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE_TYPER)
        empty = process((sys.executable, "-c", "pass"), runs)
        typer = process((sys.executable, str(bare), "--help"), runs)
        row("python -c pass", str(empty))
        row("bare Typer program, --help", str(typer), ratio(typer, empty, "python"))
        for words in (("--help",), ("--version",), ("plan", "--help")):
            cost = process((*SOPHIA, *words), runs)
            row("sophia " + " ".join(words), str(cost), ratio(cost, typer, "bare Typer"))


def plan(_: argparse.Namespace) -> None:
    """`sophia plan --sandbox` on the two-domain example: HTTP server, name server and client in one process."""
    runs = 5
    empty = process((sys.executable, "-c", "pass"), runs)
    libraries = process((sys.executable, "-c", "import httpx, dns.message, pydantic, ruamel.yaml, typer"), runs)
    row("python, and importing what it needs", str(libraries), ratio(libraries, empty, "python"))
    with tempfile.TemporaryDirectory() as folder:
        env = str(ROOT / "examples" / "two-domains" / "sophia.yaml")
        words = (*SOPHIA, "plan", "--sandbox", "-e", env, "--state", folder)
        cost = process(words, runs)
        row("sophia plan --sandbox (2 zones)", str(cost), ratio(cost, libraries, "its libraries alone"))


def diff(options: argparse.Namespace) -> None:
    """`sophia diff` on generated records (one in a hundred differs), beside octoDNS's dry run on the same records.

    Whole processes, reading included. JSON lines stand beside octoDNS's YAML, the form each is made for; master files beside
    a master file as octoDNS's source and YAML as its target (its zone file provider does not read a target).
    """
    octodns = _octodns()
    for count in (1_000, 10_000, *([] if options.quick else [100_000])):
        runs = 3 if count <= 10_000 else 1
        for form in ("JSON lines", "master files"):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                files = [_zone_file(folder, which, count, form) for which in ("live", "desired")]
                words = (*SOPHIA, "diff", *map(str, files), "--origin", "example.com", "-o", "json")
                ours = process(words, runs)
                row(f"sophia diff, {count} records, {form}", f"{ours} {_mebibytes(ours)}")
                if octodns is None:
                    continue
                theirs = process(_octodns_words(octodns, folder, count, form), min(runs, 2))
                beside = f"{ratio(theirs, ours, 'CPU')}, {theirs.peak / ours.peak:.1f} x memory of sophia diff"
                row(f"octoDNS dry run, {count} records", f"{theirs} {_mebibytes(theirs)}", beside)


def _mebibytes(cost: Cost) -> str:
    return f"{cost.peak / 2**20:5.0f} MiB"


def _records(count: int, changed: int = 0) -> Iterator[dict[str, object]]:
    for number in range(count):
        last = 1 if changed and number % changed == 0 else 0
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" if not last else "203.0.113.1"
        yield {"name": f"host-{number:06d}", "type": "A", "value": address, "ttl": 300, "priority": None}


SOA = "@ 3600 IN SOA ns1.example.net. hostmaster.example.net. ( 1 7200 3600 1209600 300 )\n@ 3600 IN NS ns1.example.net.\n"


def _zone_file(folder: Path, which: str, count: int, form: str) -> Path:
    found = _records(count, 100 if which == "desired" else 0)
    if form == "JSON lines":
        path = folder / f"{which}.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in found))
        return path
    (folder / which).mkdir()
    path = folder / which / "example.com."
    lines = (f"{one['name']} {one['ttl']} IN A {one['value']}\n" for one in found)
    path.write_text(f"$ORIGIN example.com.\n$TTL 300\n{SOA}{''.join(lines)}")
    return path


def _octodns() -> Path | None:
    """The octodns-sync of bench/.venv, made when it is not there; None, said, when it cannot be had."""
    venv = HERE / ".venv"
    tool = venv / "bin" / "octodns-sync"
    try:
        if not tool.exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True, timeout=60)
        if not list(venv.glob("lib/*/site-packages/octodns_bind")):
            install = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *OCTODNS]
            subprocess.run(install, check=True, capture_output=True, text=True, timeout=90)
    except (subprocess.SubprocessError, OSError) as exc:
        said = getattr(exc, "stderr", "") or str(exc)
        why = str(said).strip().splitlines()[-1][:80]
        row("octoDNS", "skipped", f"{' '.join(OCTODNS)} cannot be installed here: {why}")
        return None
    return tool


def _octodns_words(tool: Path, folder: Path, count: int, form: str) -> tuple[str, ...]:
    for name, changed in (("live", 0), ("desired", 100)):
        if name == "desired" and form == "master files":
            continue
        lines = ["---\n"]
        if form == "master files":
            lines.append("? ''\n: type: NS\n  ttl: 3600\n  value: ns1.example.net.\n")
        for one in _records(count, changed):
            lines.append(f"{one['name']}:\n  ttl: {one['ttl']}\n  type: A\n  value: {one['value']}\n")
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "example.com.yaml").write_text("".join(lines))
    config = folder / "octodns.yaml"
    yaml = "  {name}:\n    class: octodns.provider.yaml.YamlProvider\n    directory: {path}\n    enforce_order: false\n"
    bind = "  {name}:\n    class: octodns_bind.ZoneFileProvider\n    directory: {path}\n"
    desired = bind if form == "master files" else yaml
    config.write_text(
        "---\nproviders:\n"
        + yaml.format(name="live", path=folder / "live")
        + desired.format(name="desired", path=folder / "desired")
        + "zones:\n  example.com.:\n    sources: [desired]\n    targets: [live]\n"
    )
    return (str(tool), f"--config-file={config}", "--quiet")


def ask(_: argparse.Namespace) -> None:
    """Reading a sentence without any model, beside only splitting it into words (shlex)."""
    from sophia_cli.reasoning.engine import read
    from sophia_cli.reasoning.reading import Surroundings

    records = tuple(("example.com", f"host{number}", "A") for number in range(50))
    around = Surroundings(("example.com",), records, (), ("production", "staging"), "UTC")
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    for text in ("point api at 203.0.113.9", "Deploy a new staging environment for testing the new API"):
        number = 50
        took = min(timeit.repeat(lambda text=text: read(text, around, now), number=number, repeat=3)) / number
        split = min(timeit.repeat(lambda text=text: shlex.split(text), number=number, repeat=3)) / number
        row(f'read "{text[:34]}"', f"{took * 1e3:8.2f} ms", f"{took / split:.1f} x shlex.split")
    with tempfile.TemporaryDirectory() as folder:
        env = str(ROOT / "examples" / "two-domains" / "sophia.yaml")
        cost = process((*SOPHIA, "ask", "what changed yesterday?", "--sandbox", "-e", env, "--state", folder), 3)
        row("sophia ask, the whole process", str(cost))


def legacy(_: argparse.Namespace) -> None:
    """Seven new records at 0.5 s a call: one getHosts and one setHosts per record, beside one `sophia deploy`."""
    from sophia_cli.sandbox import running, seed

    names = [f"host{number}" for number in range(7)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old, new = folder / "old.json", folder / "new.json"
        for data in (old, new):
            seed(data, "acme.example", email_type="NONE", rows=[("@", "A", "203.0.113.1", 1800, 10)])
        with running(old) as sandbox:
            import namecheap

            client = namecheap.Api(sandbox.api_user, sandbox.api_key, sandbox.username, "127.0.0.1", debug=False)
            client.endpoint = sandbox.endpoint
            sandbox.fault("latency", seconds=LATENCY_S, count=None)
            started = time.perf_counter()
            for host in names:
                made = {"RecordType": "A", "HostName": host, "Address": "203.0.113.2", "MXPref": 10, "TTL": 1800}
                with contextlib.redirect_stdout(io.StringIO()):  # it prints
                    client.domains_dns_addHost("acme.example", made)
            took, calls = time.perf_counter() - started, len(sandbox.calls())
        total = took + FIXED_WAIT_S
        figure = f"{calls:3d} calls {total:7.1f} s ({took:.1f} s and a fixed {FIXED_WAIT_S:.0f} s wait)"
        row("a read and a write per record (PyNamecheap)", figure)
        with running(new) as sandbox:
            sandbox.fault("latency", seconds=LATENCY_S, count=None)
            env = folder / "acme.yaml"
            env.write_text(_environment_file(sandbox, names))
            cost = process((*SOPHIA, "deploy", "--yes", "-e", str(env)), 1)
            ours, count = cost.wall_s[0], len(sandbox.calls())
        row("sophia deploy (read, write, read back, verify)", f"{count:3d} calls {ours:7.1f} s")
        row("", f"1/{calls / count:.1f} of the calls, 1/{total / ours:.1f} of the time")


def _environment_file(sandbox: Sandbox, names: Sequence[str]) -> str:
    records = "".join(f"    {host}: {{name: {host}, type: A, value: 203.0.113.2}}\n" for host in names)
    return (
        f'dns:\n  domain: acme.example\n  nameservers: ["{sandbox.dns}"]\n  records:\n{records}'
        f"namecheap:\n  api_user: {{fn::secret: {sandbox.api_user}}}\n  api_key: {{fn::secret: {sandbox.api_key}}}\n"
        f"  username: {{fn::secret: {sandbox.username}}}\n  endpoint: {sandbox.endpoint}\n"
    )


def tls(_: argparse.Namespace) -> None:
    """Inspection of 100 TLS hosts on loopback, beside plain `ssl` handshakes one after the other."""
    from tls_inspection import measure

    measure(row)


def live(_: argparse.Namespace) -> None:
    """Live analysis of 1 and 20 domains whose name servers are on loopback, beside checkdmarc."""
    from live_dns import measure

    measure(row, process)


def issuance(_: argparse.Namespace) -> None:
    """A certificate from a real Pebble over the sandbox's zone, beside certbot and lego from the same Pebble."""
    from issuance import measure

    measure(row)


BENCHMARKS = {
    function.__name__: function for function in (agents, startup, plan, ask, diff, legacy, tls, live, issuance)
}


@contextmanager
def _timed() -> Iterator[None]:
    started = time.perf_counter()
    yield
    say(f"\n{time.perf_counter() - started:.0f} s in all")


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without 100 000 records")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="one benchmark (repeatable)")
    options = parser.parse_args()
    python = f"Python {platform.python_version()}"
    say(f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs; figures to compare, never to pass")
    with _timed():
        for name in options.only or BENCHMARKS:
            function = BENCHMARKS[name]
            say(f"\n{name}: {' '.join((function.__doc__ or '').split())}")
            function(options)


if __name__ == "__main__":
    main()
