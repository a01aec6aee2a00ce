"""Checks of TXT values: secrets in public, and verifications left behind. Shows no secret it finds."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend
from sophia_cli.core.changes import SECRET
from sophia_cli.core.dns import Record, mail_policy
from sophia_cli.core.findings import Finding

# Forms of tokens that are never meant for a zone, by who gives them out (after detect-secrets' plug-ins).
_TOKENS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
        ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("Slack token", r"\bxox[abposr]-[A-Za-z0-9-]{10,}"),
        ("Stripe key", r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
        ("Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
        ("OpenAI key", r"\bsk-(?:proj-)?[A-Za-z0-9_-]{20,}"),
        ("Pulumi token", r"\bpul-[a-f0-9]{40}\b"),
        ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
        ("SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
        ("DigitalOcean token", r"\bdo[por]_v1_[a-f0-9]{64}\b"),
        ("JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*"),
    )
)
_NAMED = re.compile(
    r"(?i)(?:pass(?:word|wd)?|secret|api[_-]?key|access[_-]?key|(?:auth|api|access)[_-]?token)\s*[=:]\s*[\"']?([^\s\"';]{8,})"
)
_HIGH_ENTROPY = 3.0  # bits a character; words stay below, generated text of 12 characters and more lies above

# Verification values by service: the same prefix twice means that one of them is stale.
_VERIFICATION = re.compile(
    r"(?i)([a-z0-9_.-]*(?:site-verification|domain-verification|domain_verification|verification|verify)[a-z0-9_.-]*)\s*[=:]|(MS)=ms"
)


def secrets_in(value: str) -> list[tuple[str, str]]:
    """(kind, token) of each secret that a text seems to hold."""
    found = [(kind, match.group()) for kind, pattern in _TOKENS for match in pattern.finditer(value)]
    if not found:
        found = [
            ("named secret", match.group(1))
            for match in _NAMED.finditer(value)
            if _entropy(match.group(1)) >= _HIGH_ENTROPY
        ]
    return found


def _entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def tokens(rows: Iterable[Record]) -> frozenset[str]:
    """Every token that TXT records of a zone seem to hold: what reports must not repeat."""
    return frozenset(token for row in rows if _may_hold_one(row) for _, token in secrets_in(row.value))


def _may_hold_one(row: Record) -> bool:
    return row.type == "TXT" and mail_policy(row) is None


def secret(facts: Facts) -> Iterator[Finding]:
    """A token in a TXT is public the moment it is served."""
    for row in facts.zone.records:
        held = secrets_in(row.value) if _may_hold_one(row) else []
        if held:
            kinds = sorted({kind for kind, _ in held})
            value = row.value
            for _, token in held:
                value = value.replace(token, SECRET)
            yield finding(
                facts, "TXT-SECRET", f"the TXT of {row.name} holds a {' and a '.join(kinds)}", (replace(row, value=value),),
                "Rotate the secret where it was made, then delete the record: whoever asked has it already.",
                fix=mend(facts, "TXT-SECRET", "a secret is published in DNS", (row, None)),
                kinds=kinds, length=[len(token) for _, token in held],
            )  # fmt: skip


def stale(facts: Facts) -> Iterator[Finding]:
    """The same service verified more than once at one name: the older one is left behind."""
    services: dict[tuple[str, str], list[Record]] = {}
    for row in facts.zone.records:
        match = _VERIFICATION.match(row.value) if row.type == "TXT" else None
        if match is not None:
            services.setdefault((row.name, (match.group(1) or match.group(2)).lower()), []).append(row)
    for (name, service), rows in sorted(services.items()):
        if len(rows) > 1:
            yield finding(
                facts, "TXT-STALE", f"{len(rows)} verifications of {service} stand at {name}", rows,
                "Look which one the service still shows, and delete the others.", service=service,
            )  # fmt: skip
