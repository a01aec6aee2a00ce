"""Inspected endpoints for people and scripts: one block an address. What a peer wrote is shown, never obeyed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sophia_cli.core.endpoints import VERSIONS, CertificateFacts, Endpoint, Handshake, Result, Served
from sophia_cli.core.findings import SEVERITIES, Finding
from sophia_cli.output.analysis import code
from sophia_cli.output.foreign import escaped, markdown_escaped
from sophia_cli.output.json_v1 import envelope
from sophia_cli.output.style import Palette, counted

WIDTH = 80
_LABEL = 14
_NAMES_SHOWN = 6
_LONGEST = 160  # characters of one foreign text, for people
_DAY_S = 86_400

Row = tuple[str, str, Result | None]
"""A label, its text, and the result that gives it a colour."""


def data(endpoints: Sequence[Endpoint], findings: Sequence[Finding]) -> dict[str, Any]:
    """The public shape (`sophia.certs/1`)."""
    counts = {level: sum(one.severity == level for one in findings) for level in reversed(SEVERITIES)}
    return {
        "endpoints": [one.data() for one in endpoints],
        "findings": [one.data() for one in findings],
        "summary": counts,
    }


def document(endpoints: Sequence[Endpoint], findings: Sequence[Finding]) -> str:
    """The JSON document."""
    return envelope("certs", data(endpoints, findings))


def render(endpoints: Sequence[Endpoint], findings: Sequence[Finding], now: datetime, *, colour: bool) -> str:
    """Endpoints and findings for a terminal, 80 columns wide."""
    palette = Palette(colour)
    lines: list[str] = []
    for endpoint in endpoints:
        lines.append(palette.paint("bold", escaped(endpoint.label)))
        if not endpoint.served:
            lines += _wrapped("", _answer(endpoint.found, "found"), palette, _style(endpoint.found))
        for one in endpoint.served:
            lines.append(f"  {escaped(one.address)}")
            for label, text, result in _rows(one, now):
                lines += _wrapped(label, text, palette, None if result is None else _style(result))
        lines.append("")
    for finding in findings:
        lines += _finding(finding, palette)
    lines.append(summary(endpoints, findings))
    return "\n".join(lines) + "\n"


def markdown(endpoints: Sequence[Endpoint], findings: Sequence[Finding], now: datetime) -> str:
    """The same for a pull request or a step summary; foreign text stands in code spans or is escaped."""
    lines = [f"## sophia cert show: {markdown_escaped(summary(endpoints, findings))}"]
    for endpoint in endpoints:
        lines += ["", f"### {code(endpoint.label)}", ""]
        if not endpoint.served:
            lines.append(f"- {markdown_escaped(_answer(endpoint.found, 'found'))}")
        for one in endpoint.served:
            lines += [f"- {code(one.address)}"]
            lines += [f"  - {label}: {markdown_escaped(text)}" for label, text, _ in _rows(one, now)]
    if findings:
        lines += ["", "### Findings", ""]
        lines += [
            f"- **{one.severity}** `{one.id}` {markdown_escaped(one.title)} {markdown_escaped(one.help)}"
            for one in findings
        ]
    return "\n".join(lines) + "\n"


def summary(endpoints: Sequence[Endpoint], findings: Sequence[Finding]) -> str:
    """One line: how many endpoints, how many of them spoke TLS, and what was found."""
    spoke = sum(any(one.spoken for one in endpoint.served) for endpoint in endpoints)
    counts = [(level, sum(one.severity == level for one in findings)) for level in reversed(SEVERITIES)]
    said = ", ".join(f"{number} {level}" for level, number in counts if number) or "no findings"
    return f"{counted(len(endpoints), 'endpoint')}, {spoke} with TLS; {said}"


def _rows(one: Served, now: datetime) -> Iterator[Row]:
    if one.starttls is not None:
        yield "starttls", _answer(one.starttls, "offered"), one.starttls
    if not one.spoken:
        yield "tls", _answer(one.spoken, "spoken"), one.spoken
        return
    if one.leaf is not None:
        yield from _certificate(one, one.leaf, now)
    else:
        yield "certificate", _answer(one.chain.trust, ""), one.chain.trust
    if one.versions:
        yield "versions", _versions(one), None
    if one.suites or one.suites_seen.is_known:
        yield "suites", _suites(one), None
    yield "resumption", _answer(one.resumption, "sessions are resumed"), one.resumption
    yield "stapling", _answer(one.staple, "an OCSP response is stapled", ""), None
    yield "client", _answer(one.client_certificate, "no certificate is asked for", ""), None
    if one.handshake is not None:
        yield "handshake", _cost(one), None
    elif one.spoken.why:
        yield "handshake", f"not finished: {_short(one.spoken.why)}", None


def _certificate(one: Served, leaf: CertificateFacts, now: datetime) -> Iterator[Row]:
    yield "certificate", _short(leaf.subject or "no subject"), None
    yield "issuer", _short(leaf.issuer or "no issuer"), None
    listed = [*leaf.names, *leaf.addresses]
    more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    yield "names", ", ".join(map(_short, listed[:_NAMES_SHOWN])) + more if listed else "none", None
    days = int(abs(leaf.left_s(now)) // _DAY_S)
    left = f"{counted(days, 'day')} left" if leaf.left_s(now) >= 0 else f"ended {counted(days, 'day')} ago"
    yield "valid", f"{leaf.not_before:%Y-%m-%d %H:%M} to {leaf.not_after:%Y-%m-%d %H:%M} UTC, {left}", None
    size = f" {leaf.curve}" if leaf.curve else f" {leaf.key_bits} bits" if leaf.key_bits else ""
    yield "key", f"{leaf.key_type}{size}, signed by {leaf.signature}, {counted(leaf.scts, 'SCT')}", None
    yield "serial", leaf.serial, None
    chain = f"{counted(len(one.chain.served), 'certificate')}, {one.chain.size} bytes; "
    yield "chain", chain + _answer(one.chain.trust, "trusted", "not trusted"), one.chain.trust
    yield "name", _answer(one.name, "matches", "does not match"), one.name
    yield "revocation", _answer(one.revocation, "not revoked", ""), one.revocation
    if leaf.problems:
        yield "problems", ", ".join(leaf.problems), None


def _versions(one: Served) -> str:
    by_state: dict[str, list[str]] = {"pass": [], "fail": [], "not tested": []}
    for version in VERSIONS:
        result = one.versions.get(version)
        if result is not None:
            by_state[result.state].append(version)
    parts = [", ".join(by_state["pass"]) or "none offered"]
    if by_state["fail"]:
        parts.append(f"refused: {', '.join(by_state['fail'])}")
    if by_state["not tested"]:
        why = next(one.versions[version].why for version in by_state["not tested"])
        parts.append(f"not tested: {', '.join(by_state['not tested'])} ({_short(why)})")
    return "; ".join(parts)


def _suites(one: Served) -> str:
    weak = one.weak()
    listed = ", ".join(f"{suite.name} ({suite.weakness})" for suite in weak)
    partly = one.suites_seen.why.startswith("only")
    known = "" if partly else f"{counted(len(one.suites), 'suite')} accepted"
    texts = [known, f"weak: {listed}" if weak else "none of them weak" if known else "no weak suite accepted"]
    if not one.suites_seen.is_known:
        texts.append(f"in part: {_short(one.suites_seen.why)}")
    return "; ".join(text for text in texts if text)


def _cost(one: Served) -> str:
    assert one.handshake is not None
    first = f"{one.handshake.version} {one.handshake.cipher}"
    protocol = f", {_short(one.alpn)}" if one.alpn else ""
    resumed = f"; resumed {_bytes_and_time(one.resumed)}" if one.resumed is not None else ""
    return f"{first}{protocol}; {_bytes_and_time(one.handshake)}{resumed}"


def _bytes_and_time(cost: Handshake) -> str:
    return f"{cost.sent + cost.received} bytes, {cost.ms:.1f} ms"


def _answer(result: Result, yes: str, no: str = "no") -> str:
    why = _short(result.why)
    if result.state == "pass":
        return f"{yes}: {why}" if why and yes else yes or why
    if result.state == "fail":
        return f"{no}: {why}" if no else why
    return f"not tested: {why}"


def _style(result: Result) -> str:
    return {"pass": "green", "fail": "red", "not tested": "dim"}[result.state]


def _short(text: str) -> str:
    text = escaped(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _wrapped(label: str, text: str, palette: Palette, style: str | None) -> list[str]:
    indent = " " * (4 + _LABEL)
    first, *rest = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False) or [""]
    lines = [f"    {label:<{_LABEL}}{first if style is None else palette.paint(style, first)}".rstrip()]
    return lines + [indent + (line if style is None else palette.paint(style, line)) for line in rest]


def _finding(finding: Finding, palette: Palette) -> list[str]:
    indent = " " * 10
    head = textwrap.wrap(f"{finding.id}  {escaped(finding.title)}", WIDTH - 10, break_on_hyphens=False)
    lines = [palette.padded(finding.severity, finding.severity, 10) + head[0], *(indent + line for line in head[1:])]
    return [*lines, *(indent + line for line in textwrap.wrap(escaped(finding.help), WIDTH - 10)), ""]
