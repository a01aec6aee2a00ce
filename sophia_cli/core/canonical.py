"""Canonical JSON and digests: the one byte form of a value that is hashed, stored and compared. Does no I/O."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(data: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no white space. Floats are refused: their text differs between writers."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(data: Any) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(data)).hexdigest()
