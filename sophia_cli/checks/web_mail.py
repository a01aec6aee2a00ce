"""Checks of what web servers serve for mail: the MTA-STS policy (RFC 8461) and the BIMI logo. Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sophia_cli.checks import mta_sts
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.tags import parse
from sophia_cli.checks.web import logo_urls, policy_url
from sophia_cli.core.findings import Finding
from sophia_cli.core.web_facts import Visit, shown_url

LONGEST_AGE_S = 31_557_600  # RFC 8461 3.2
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+\.?\Z", re.I)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as read (RFC 8461 3.2): `faults` say what is wrong with it."""

    mode: str | None
    hosts: tuple[str, ...]
    max_age_s: int | None
    faults: tuple[str, ...]


def policy_of(text: str) -> Policy:
    """A policy's text, read. Unknown fields are passed over (RFC 8461 3.2)."""
    fields: dict[str, list[str]] = {}
    faults: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), []).append(value.strip())
        elif line.strip():
            faults.append("a line has no colon")
    if fields.get("version") != ["STSv1"]:
        faults.append("version: STSv1 must stand there once")
    modes, ages, hosts = fields.get("mode", []), fields.get("max_age", []), fields.get("mx", [])
    mode = modes[0] if len(modes) == 1 and modes[0] in ("enforce", "testing", "none") else None
    if mode is None:
        faults.append("mode must be enforce, testing or none")
    age_s = int(ages[0]) if len(ages) == 1 and re.fullmatch(r"[0-9]{1,10}", ages[0]) else None
    if age_s is None or age_s > LONGEST_AGE_S:
        faults.append(f"max_age must be a number up to {LONGEST_AGE_S}")
    if mode != "none" and not hosts:
        faults.append("mx is missing")
    faults += [f"mx: {host!a} is no host name" for host in hosts if not _HOST.match(host)][:3]
    return Policy(mode, tuple(host.lower().rstrip(".") for host in hosts), age_s, tuple(dict.fromkeys(faults)))


def covers(pattern: str, host: str) -> bool:
    """Whether an `mx` of a policy covers a host; a wildcard stands for exactly one label (RFC 8461 4.1)."""
    host = host.rstrip(".").lower()
    if pattern.startswith("*."):
        return host.partition(".")[2] == pattern[2:]
    return host == pattern


def mta_sts_whole(facts: Facts) -> Iterator[Finding]:
    """The record, then the policy behind it."""
    yield from mta_sts.mta_sts(facts)
    visit = _policy(facts)
    if visit is None:
        return
    rows = facts.names.at("_mta-sts", "TXT")
    fault = _served(visit)
    if fault is not None:
        yield finding(
            facts, "MAIL-MTASTS", f"the MTA-STS policy is announced and not served: {fault}", rows,
            "Serve it as text/plain with status 200 over trusted TLS, without a redirect.", severity="medium",
            no_fix="needs the web host that serves the policy", url=visit.url, status=visit.status, why=fault,
        )  # fmt: skip
        return
    policy = policy_of(visit.text())
    evidence: dict[str, Any] = {
        "url": visit.url,
        "mode": policy.mode,
        "mx": list(policy.hosts),
        "max_age": policy.max_age_s,
    }
    strangers = [row for row in facts.exchangers if not any(covers(host, row.value) for host in policy.hosts)]
    if policy.faults:
        yield finding(
            facts, "MAIL-MTASTS", f"the MTA-STS policy is invalid: {policy.faults[0]}", rows,
            "Correct the policy, then change the id of the record.", severity="medium",
            no_fix="the policy is a file on the web host", errors=list(policy.faults), **evidence,
        )  # fmt: skip
    elif strangers and policy.mode != "none":
        hosts = ", ".join(row.value.rstrip(".") for row in strangers[:3])
        yield finding(
            facts, "MAIL-MTASTS", f"the MTA-STS policy does not name {hosts}", (*rows, *strangers),
            "Add mx: lines for every mail exchanger, then change the id of the record.",
            severity="high" if policy.mode == "enforce" else "medium", no_fix="the policy is a file on the web host",
            unnamed=[row.value for row in strangers], **evidence,
        )  # fmt: skip
    elif policy.mode != "enforce":
        yield finding(
            facts, "MAIL-MTASTS", f"the MTA-STS policy is in mode {policy.mode}: it protects nothing yet", rows,
            "Watch the TLS reports, then set mode: enforce and change the id of the record.", severity="info",
            no_fix="the policy is a file on the web host", **evidence,
        )  # fmt: skip


def _policy(facts: Facts) -> Visit | None:
    url = policy_url(facts)
    return None if url is None else (facts.background.http or {}).get(url)


def _served(visit: Visit) -> str | None:
    if not visit.is_answered:
        return visit.failure or "no answer"
    if visit.status != 200:
        return f"status {visit.status}"
    kind = (visit.header("content-type") or "").partition(";")[0].strip().lower()
    return None if kind == "text/plain" else f"its type is {kind or 'not told'}, not text/plain"


def policy_unread(facts: Facts) -> str | None:
    """What could not be seen of MTA-STS."""
    if facts.names.answer("_mta-sts") and policy_url(facts) is not None and _policy(facts) is None:
        return "in part: the policy behind _mta-sts was not fetched"
    return None


# -- BIMI ------------------------------------------------------------------------------------------------------------


def bimi_whole(facts: Facts) -> Iterator[Finding]:
    """The record, then the logo it names."""
    yield from mta_sts.bimi(facts)
    for url in logo_urls(facts):
        visit = (facts.background.http or {}).get(url)
        if visit is None:
            continue
        errors = logo_errors(visit)
        if errors:
            rows = [row for row in facts.zone.records if row.type == "TXT" and parse(row.value).get("l") == url]
            yield finding(
                facts, "MAIL-BIMI", f"the BIMI logo cannot be shown: {errors[0]}", rows,
                "Serve an SVG Tiny Portable/Secure file as image/svg+xml.", url=shown_url(url), errors=errors,
            )  # fmt: skip


def logo_errors(visit: Visit) -> list[str]:
    """What keeps a logo from being shown (SVG Tiny PS, draft-svg-tiny-ps-abrotman)."""
    if not visit.is_answered:
        return [visit.failure or "no answer"]
    if visit.status != 200:
        return [f"status {visit.status}"]
    text, errors = visit.text(), []
    kind = (visit.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "image/svg+xml":
        errors.append(f"its type is {kind or 'not told'}, not image/svg+xml")
    head = re.search(r"<svg\b[^>]*>", text)
    if head is None:
        return [*errors, "it is no SVG"]
    if not re.search(r"""\bbaseProfile\s*=\s*["']tiny-ps["']""", head.group()):
        errors.append("it is not of the profile tiny-ps")
    if not re.search(r"""\bversion\s*=\s*["']1\.2["']""", head.group()):
        errors.append("its version is not 1.2")
    if re.search(r"<(?:script|image|foreignObject|animate\w*)\b", text):
        errors.append("it holds scripts, pictures or animation")
    if re.search(r"""\bhref\s*=\s*["'](?!#)""", text):
        errors.append("it refers to something outside itself")
    return errors


def logo_unread(facts: Facts) -> str | None:
    """What could not be seen of BIMI."""
    if any(url not in (facts.background.http or {}) for url in logo_urls(facts)):
        return "in part: the logo was not fetched"
    return None
