"""Texts that look like secrets: the forms of tokens, and which records hold one. Shows no secret it finds."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from sophia_cli.core.dns import Record, mail_policy

HIDDEN = "[secret]"

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
        ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}\b"),
        ("URL with a password", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,64}:[^\s/@${}<>*]{6,128}@"),
        ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*"),
    )
)
_NAMED = re.compile(
    r"(?i)(?:pass(?:word|wd)?|secret|(?:api|access|account)[_-]?key|(?:auth|api|access)[_-]?token)\s*[=:]\s*[\"']?([^\s\"';,{}<>]{8,})"
)
_HIGH_ENTROPY = 3.0  # bits a character; words stay below, generated text of 12 characters and more lies above


def secrets_in(value: str) -> list[tuple[str, str]]:
    """(kind, token) of each secret that a text seems to hold."""
    found = [(kind, match.group()) for kind, pattern in _TOKENS for match in pattern.finditer(value)]
    if not found:
        found = [("named secret", match.group(1)) for match in _NAMED.finditer(value) if _is_random(match.group(1))]
    return found


def _is_random(text: str) -> bool:
    """Whether a text behind a secret's name is one: words such as `change-me` and `YOUR_KEY_HERE` have one case, no digit."""
    is_word = text.lower() == text or text.upper() == text
    if text.startswith(("fn::", "$")) or (is_word and not any(one.isdigit() for one in text)):
        return False
    return _entropy(text) >= _HIGH_ENTROPY


def _entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def tokens(rows: Iterable[Record]) -> frozenset[str]:
    """Every token that TXT records of a zone seem to hold: what reports must not repeat."""
    return frozenset(token for row in rows if may_hold_one(row) for _, token in secrets_in(row.value))


def may_hold_one(row: Record) -> bool:
    """Whether a record is of those that may hold a secret: a TXT that is no mail policy or key."""
    return row.type == "TXT" and mail_policy(row) is None


def holds_one(row: Record) -> bool:
    """Whether a record's value must not be shown, although it stands in public DNS."""
    return may_hold_one(row) and bool(secrets_in(row.value))


def shown_value(row: Record) -> str:
    """The value of a record as it may be shown: `[secret]` where a TXT looks like one."""
    return HIDDEN if holds_one(row) else row.value
