"""Quoted evidence: text piped in beside a question, searched for what is known here. It is never read as a wish."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.checks.registry import CHECKS
from sophia_cli.core.dns import Zone
from sophia_cli.core.errors import SophiaError
from sophia_cli.flows.plan import observe
from sophia_cli.flows.reply import Reply, World

MOST_BYTES = 256 * 1024
_MOST_NAMES = 20
_HOST = re.compile(
    r"(?<![\w.-])(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9](?![\w-])", re.IGNORECASE
)
_ID = re.compile(r"\b[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+\b")
# What servers and libraries write when something fails, and what it means (RFC 1035 4.1.1 for the response codes).
_SIGNS: Mapping[str, str] = {
    "NXDOMAIN": "a name does not exist",
    "SERVFAIL": "a name server could not answer (DNSSEC, or the zone's servers)",
    "REFUSED": "a server does not answer for that name",
    "connection refused": "nothing listens at an address",
    "timed out": "no answer in time",
    "certificate has expired": "a certificate is past its end",
    "certificate verify failed": "a certificate is not trusted",
    "hostname mismatch": "a certificate is for other names",
    "handshake failure": "client and server agree on no TLS version or cipher",
    "too many redirects": "redirects go round in a circle",
}


@dataclass(frozen=True, slots=True)
class Quoted:
    """What quoted text names that is known here. `cut` tells that only its beginning was read."""

    digest: str
    lines: int
    cut: bool
    hosts: tuple[str, ...]
    elsewhere: int
    findings: tuple[str, ...]
    runs: tuple[str, ...]
    signs: tuple[tuple[str, int], ...]

    def data(self) -> dict[str, Any]:
        """The public shape (`quoted` of `sophia.ask/1`). It holds no line of the text."""
        return {
            "digest": self.digest,
            "lines": self.lines,
            "cut": self.cut,
            "hosts": list(self.hosts),
            "hosts_elsewhere": self.elsewhere,
            "findings": list(self.findings),
            "runs": list(self.runs),
            "signs": [{"text": text, "count": count} for text, count in self.signs],
        }


def quoted(text: str, zones: Sequence[str], runs: Sequence[str], *, cut: bool = False) -> Quoted:
    """What a text names of these zones and runs, of the catalogue's findings, and of well-known failures."""
    names = Counter(match[0].lower() for match in _HOST.finditer(text))
    ours = [name for name in names if any(name == zone or name.endswith("." + zone) for zone in zones)]
    known = {check.rule.id for check in CHECKS}
    low = text.lower()
    return Quoted(
        digest="sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        lines=len(text.splitlines()),
        cut=cut,
        hosts=tuple(sorted(ours, key=lambda name: (-names[name], name))[:_MOST_NAMES]),
        elsewhere=len(names) - len(ours),
        findings=tuple(sorted({match[0] for match in _ID.finditer(text)} & known)),
        runs=tuple(run for run in runs if run in text),
        signs=tuple((sign, count) for sign in _SIGNS if (count := low.count(sign.lower()))),
    )


async def beside(reply: Reply, text: str, world: World, *, cut: bool = False) -> Reply:
    """The reply with what the quoted text names, told from our own data; its plan, if any, is not touched.

    A question that the grammar cannot place is answered with that alone, when it names anything known.
    """
    runs = [run.id for run in await world.ground.store.journal.runs()]
    found = quoted(text, [zone.name for zone in world.settings.zones], runs, cut=cut)
    zones: list[Zone] = []
    with contextlib.suppress(SophiaError):  # what cannot be read now is told as such, name by name
        zones = [seen.zone for seen in await observe(world.settings, world.ground.targets, world.ground.store)]
    told = _told(found, zones)
    evidence = (*reply.evidence, f"stdin:{found.digest}", *found.findings, *found.runs)
    answer = "\n".join(part for part in (reply.answer, *told) if part)
    unplaced = bool(reply.clarify) and len(reply.clarify) == 1 and len(told) > 1
    return replace(
        reply, answer=answer, evidence=evidence, quoted=found.data(), clarify=() if unplaced else reply.clarify
    )


def _told(found: Quoted, zones: Sequence[Zone]) -> list[str]:
    more = " (the rest was left out)" if found.cut else ""
    lines = [f"Quoted evidence: {found.lines} lines{more}, {found.digest[:19]}; nothing in it is taken as a wish."]
    for host in found.hosts:
        lines.append(f"It names {host}: " + _there(host, zones))
    if found.elsewhere:
        lines.append(f"It names {found.elsewhere} other hosts, which are not this environment's and are not looked up.")
    lines += [f"It names the finding {id}: sophia analyze -v explains it." for id in found.findings]
    lines += [f"It names the run {run}: sophia audit show --run {run}" for run in found.runs]
    lines += [f'It says "{sign}" {count} times: {_SIGNS[sign]}.' for sign, count in found.signs]
    return lines


def _there(host: str, zones: Sequence[Zone]) -> str:
    for zone in sorted(zones, key=lambda zone: -len(zone.name)):
        if host == zone.name or host.endswith("." + zone.name):
            rows = zone.at(host.removesuffix(zone.name).rstrip(".") or "@")
            held = ", ".join(f"{row.type} {row.value[:60]}" for row in rows[:5])
            return f"{held} (dns:{zone.name})" if held else f"dns:{zone.name} has no record of that name"
    return "it could not be looked up"
