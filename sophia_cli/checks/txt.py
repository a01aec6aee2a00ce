"""Checks of TXT values: secrets in public, and verifications left behind. Shows no secret it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend
from sophia_cli.core.changes import SECRET
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.leaks import may_hold_one, secrets_in

# Verification values by service: the same prefix twice means that one of them is stale.
_VERIFICATION = re.compile(
    r"(?i)([a-z0-9_.-]*(?:site-verification|domain-verification|domain_verification|verification|verify)[a-z0-9_.-]*)\s*[=:]|(MS)=ms"
)


def secret(facts: Facts) -> Iterator[Finding]:
    """A token in a TXT is public the moment it is served."""
    for row in facts.zone.records:
        held = secrets_in(row.value) if may_hold_one(row) else []
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
