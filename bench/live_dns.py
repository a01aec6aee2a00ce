"""Live analysis on loopback servers beside checkdmarc and zonemaster: time, and who finds which planted fault.

Needs port 53 and the test servers. Nobody is asked beyond loopback.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

SOPHIA = (sys.executable, "-m", "sophia_cli")
RUNS = 5
MANY = 20
HINTS = ". 3600 IN NS a.root.\na.root. 3600 IN A {root}\n"

ROWS_ALONE = """
import asyncio, json, sys, time
from datetime import UTC, datetime
from sophia_cli.flows.analyze import analyze
from sophia_cli.providers.zone_file import ZoneFileReader, parse_zone_file
texts, now, begun = json.load(sys.stdin), datetime.now(UTC), time.process_time()
asyncio.run(analyze([ZoneFileReader(parse_zone_file(text, zone), now) for zone, text in texts.items()], now=now))
print(time.process_time() - begun)
"""

# Each domain of the test servers with one fault: the check that must find it, and the message of zonemaster that is about it
# (None: it looks for no such thing).
PLANTED: dict[str, tuple[str, str | None]] = {
    "alone.example": ("DNS-NS-FEW", "NOT_ENOUGH_NS_DEL"),
    "lame.example": ("DNS-LAME", "IS_NOT_AUTHORITATIVE"),
    "dated.example": ("DNS-SERIAL", "MULTIPLE_SOA_SERIALS"),
    "filtered.example": ("DNS-NS-TCP", "CN02_NO_RESPONSE_TCP"),
    "differs.example": ("DNS-DELEG-DIFF", "EXTRA_NAME_PARENT"),
    "odd.example": ("DNS-SOA", "REFRESH_MINIMUM_VALUE_LOWER"),
    "open.example": ("DNS-AXFR", "AXFR_AVAILABLE"),
    "expired.example": ("SEC-DNSSEC-BOGUS", "RRSIG_EXPIRED"),
    "bogus.example": ("SEC-DNSSEC-BOGUS", "DS02_NO_MATCH_DS_DNSKEY"),
    "soon.example": ("SEC-DNSSEC-SOON", "REMAINING_SHORT"),
    "secret.example": ("SEC-DNSSEC-NONE", "DNSKEY_BUT_NOT_DS"),
    "salted.example": ("SEC-NSEC3", "DS03_ILLEGAL_ITERATION_VALUE"),
    "faulty.example": ("DNS-MX-CNAME", None),
}
# What zonemaster says of these domains and no check here does, with the reason. (ADDRESS01 is said of every server on
# loopback: a name server at a loopback address that answers is a test bed.)
ONLY_ZONEMASTER = {
    "NAMESERVER_IP_WITHOUT_REVERSE": "no resolver looks at the reverse name of a name server",
    "RNAME_MAIL_DOMAIN_INVALID": "nothing that users notice depends on mail to RNAME",
    "Z09_MISSING_MAIL_TARGET": "a domain without mail is no fault; one with an address and no MX is DNS-MX-IMPLICIT",
    "Z01_MNAME_NOT_MASTER": "follows from the serials, which DNS-SERIAL tells",
    "UPWARD_REFERRAL": "the server that does it is told as DNS-OPEN-REC",
}


def measure(row: Callable[..., None], process: Callable[..., Any]) -> None:
    """Print the figures; says why where they cannot be had."""
    from tests.providers.dns_survey.servers import BIND, ROOT, missing, nsd
    from tests.providers.dns_survey.world import root_zone, world

    why = f"not installed: {', '.join(missing())}" if missing() else _why_no_port(BIND)
    if why:
        row("live analysis", f"not measured: {why}")
        return
    with (
        tempfile.TemporaryDirectory() as name,
        world(Path(name), port=53, copies=MANY),
        nsd(Path(name) / "root", ROOT, 53, {".": root_zone()}),
    ):
        folder, hints = Path(name) / "empty", Path(name) / "hints"
        folder.mkdir()
        hints.write_text(HINTS.format(root=ROOT))
        row(f"{MANY} zones by their rows alone", f"{_rows_alone():6.3f} s CPU after start-up")
        start = process((*SOPHIA, "--version"), RUNS, folder)
        row("sophia --version (start-up alone)", _figure(start))
        for count in (1, MANY):
            domains = [f"d{number}.example" for number in range(count)]
            ours = process((*SOPHIA, "analyze", *domains, "--resolver", BIND, "-o", "json"), RUNS, folder)
            row(f"sophia analyze, {count} by DNS alone", _figure(ours))
            _beside(row, process, folder, "checkdmarc", ("checkdmarc", *domains, "-n", BIND), ours)
        zonemaster = _zonemaster(hints)
        _beside(row, process, folder, zonemaster[0], (*zonemaster, "d0.example"), ours=process(
            (*SOPHIA, "analyze", "d0.example", "--resolver", BIND, "-o", "json"), RUNS, folder))  # fmt: skip
        _faults(row, folder, zonemaster, BIND)


def _rows_alone() -> float:
    """CPU seconds of many zones without any network, in a process that has just started."""
    from tests.providers.dns_survey.servers import zone_text
    from tests.providers.dns_survey.world import GOOD, HEALTHY

    rows = {f"d{n}.example": [row.replace("good.example", f"d{n}.example") for row in GOOD] for n in range(MANY)}
    texts = {zone: zone_text(zone, *rows[zone], hosts=HEALTHY) for zone in rows}
    done = subprocess.run(
        (sys.executable, "-c", ROWS_ALONE), input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _zonemaster(hints: Path) -> tuple[str, ...]:
    """zonemaster-cli, resolving from our root; it takes one domain a process."""
    return ("zonemaster-cli", "--hints", str(hints), "--no-ipv6", "--no-progress", "--raw", "--level", "NOTICE")


def _faults(row: Callable[..., None], folder: Path, zonemaster: Sequence[str], resolver: str) -> None:
    """Who finds which planted fault."""
    theirs = _program(zonemaster[0])
    ours_found = theirs_found = 0
    for domain, (id, tag) in PLANTED.items():
        words = (*SOPHIA, "analyze", domain, "--resolver", resolver, "-o", "json")
        found = json.loads(subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout)["data"][
            "findings"
        ]
        is_ours = id in {finding["id"] for finding in found}
        is_theirs = False
        if theirs is not None and tag is not None:
            said = subprocess.run((theirs, *zonemaster[1:], domain), cwd=folder, capture_output=True, check=True).stdout
            is_theirs = tag in said.decode().split()
        ours_found, theirs_found = ours_found + is_ours, theirs_found + is_theirs
        row(f"planted: {domain}", f"{id} {'found' if is_ours else 'MISSED'}", _told(theirs, tag, is_theirs))
    row(
        "planted faults found",
        f"{ours_found} of {len(PLANTED)}",
        "" if theirs is None else f"zonemaster {theirs_found}",
    )
    for tag, why in ONLY_ZONEMASTER.items():
        row(f"zonemaster alone: {tag}"[:44], "no check", why)


def _told(program: str | None, tag: str | None, is_found: bool) -> str:
    if program is None:
        return "zonemaster-cli is not installed"
    return f"zonemaster: {tag or 'no test'}{'' if tag is None else ' found' if is_found else ' not said'}"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")


def _beside(
    row: Callable[..., None], process: Callable[..., Any], folder: Path, name: str, words: Sequence[str], ours: Any
) -> None:
    program = _program(name)
    if program is None:
        row(name, "not measured: not installed")
        return
    theirs = process((program, *words[1:]), RUNS, folder)
    row(f"{words[0]}, the same", _figure(theirs), f"{min(theirs.wall_s) / min(ours.wall_s):.1f} x our time")


def _figure(cost: Any) -> str:
    return f"{min(cost.wall_s):6.3f} s wall {min(cost.cpu_s):6.3f} s CPU"


def _why_no_port(address: str) -> str:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind((address, 53))
            except OSError as exc:
                return f"port 53 of loopback: {exc.strerror}"
    return ""
