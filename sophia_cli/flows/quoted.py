"""Quoted evidence: text piped in beside a question, searched for what is known here. It is never read as a wish.

No line of it leaves this machine: a model is told what it names of ours, as typed facts, and answers in prose.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sophia_cli.checks.registry import CHECKS
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.errors import SophiaError
from sophia_cli.core.language import Prompt
from sophia_cli.flows.plan import observe
from sophia_cli.flows.reply import Reply, World
from sophia_cli.flows.summary import Summary, prose
from sophia_cli.reasoning.evidence import typed
from sophia_cli.reasoning.grounding import LONGEST_SENTENCE
from sophia_cli.reasoning.prompts import quoted_prompt

MOST_BYTES = 256 * 1024
_MOST_NAMES = 20
MOST_ROWS = 40  # that a model is told
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

    @property
    def id(self) -> str:
        """What an answer cites it by."""
        return f"stdin:{self.digest}"

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
    found, zones = await _looked_up(text, world, cut=cut)
    told = _told(found, zones)
    evidence = (*reply.evidence, found.id, *found.findings, *found.runs)
    unplaced = bool(reply.clarify) and len(reply.clarify) == 1 and len(told) > 1
    said = await _said(reply.text, found, zones, world) if unplaced else None
    data = found.data()
    if said is not None:
        data["model"] = said.data()
        told += [
            f"What {said.by} says of it; sophia did not check it:",
            *(f"| {one}" for one in said.text.splitlines()),
        ]
    answer = "\n".join(part for part in (reply.answer, *told) if part)
    return replace(reply, answer=answer, evidence=evidence, quoted=data, clarify=() if unplaced else reply.clarify)


async def question_beside(question: str, text: str, world: World, *, cut: bool = False) -> Prompt | None:
    """What a model is asked about quoted text that a question the grammar cannot place stands beside; None: nothing."""
    found, zones = await _looked_up(text, world, cut=cut)
    if len(question) > LONGEST_SENTENCE or "\n" in question or len(_told(found, zones)) < 2:
        return None
    return quoted_prompt(_facts(question, found, zones))


async def _looked_up(text: str, world: World, *, cut: bool) -> tuple[Quoted, list[Zone]]:
    runs = [run.id for run in await world.ground.store.journal.runs()]
    found = quoted(text, [zone.name for zone in world.settings.zones], runs, cut=cut)
    zones: list[Zone] = []
    with contextlib.suppress(SophiaError):  # what cannot be read now is told as such, name by name
        zones = [seen.zone for seen in await observe(world.settings, world.ground.targets, world.ground.store)]
    return found, zones


async def _said(question: str, found: Quoted, zones: Sequence[Zone], world: World) -> Summary | None:
    """A model's prose about the question and the typed facts; it names ids and can be nothing but text."""
    if world.counsel is None or len(question) > LONGEST_SENTENCE or "\n" in question:
        return None
    facts = _facts(question, found, zones)
    ids = [found.id, *found.findings, *found.runs, *(row["id"] for row in facts["records"])]
    return await prose(quoted_prompt(facts), ids, world.counsel, lambda text: None)


def _facts(question: str, found: Quoted, zones: Sequence[Zone]) -> dict[str, Any]:
    """What of quoted text may be told, its origin `pasted`: names of ours and known signs, and our records of the names."""
    there = [host for host in found.hosts if _rows_at(host, zones)]  # a label that is an order has no record
    rows = [(zone, row) for host in there for zone, row in _rows_at(host, zones)][:MOST_ROWS]
    absent = len(found.hosts) - len(there)
    return {
        "question": question,
        "pasted": {**found.data(), "id": found.id, "hosts": there, "hosts_without_records": absent},
        "records": [
            {"id": f"r{number}", "zone": zone.name, "name": row.name, "type": row.type, "is": typed(row)}
            for number, (zone, row) in enumerate(rows, 1)
        ],
    }


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
    zone = _zone_of(host, zones)
    if zone is None:
        return "it could not be looked up"
    held = ", ".join(f"{row.type} {row.value[:60]}" for _, row in _rows_at(host, zones)[:5])
    return f"{held} (dns:{zone.name})" if held else f"dns:{zone.name} has no record of that name"


def _zone_of(host: str, zones: Sequence[Zone]) -> Zone | None:
    inside = [zone for zone in zones if host == zone.name or host.endswith("." + zone.name)]
    return max(inside, key=lambda zone: len(zone.name), default=None)


def _rows_at(host: str, zones: Sequence[Zone]) -> list[tuple[Zone, Record]]:
    zone = _zone_of(host, zones)
    return [] if zone is None else [(zone, row) for row in zone.at(host.removesuffix(zone.name).rstrip(".") or "@")]
