"""What reports must not repeat: secrets of the environment, and tokens found in the zone. Shows none of them."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.core.changes import SECRET
from sophia_cli.core.leaks import tokens

_SHORTEST_SECRET = 4  # characters; shorter texts would tear holes into every word


def masks_of(facts: Facts) -> frozenset[str]:
    """Secrets of the environment, and tokens that stand in the zone itself."""
    known = () if facts.settings is None else facts.settings.secrets
    texts = {secret.get_secret_value() for secret in known}
    return frozenset(text for text in texts if len(text) >= _SHORTEST_SECRET) | tokens(facts.zone.records)


def redacted(data: Any, masks: frozenset[str]) -> Any:
    """JSON data with every mask replaced; only the address of an A or AAAA record stays, because serving it publishes it."""
    if not masks:
        return data
    if isinstance(data, str):
        for mask in sorted(masks, key=len, reverse=True):
            data = data.replace(mask, SECRET)
        return data
    if isinstance(data, Mapping):
        public = data.get("value") if data.get("type") in ("A", "AAAA") else None
        hidden = {key: redacted(value, masks) for key, value in data.items()}
        return {**hidden, "value": public} if isinstance(public, str) and _is_address(public) else hidden
    if isinstance(data, (list, tuple)):
        return [redacted(entry, masks) for entry in data]
    return data


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
