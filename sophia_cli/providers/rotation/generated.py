"""Generated values: passwords nobody else has to agree to. They are derived, so that a killed rotation makes the same one."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

from sophia_cli.core.errors import UsageError
from sophia_cli.core.rotation import New, Rotation

SHORTEST, LONGEST = 16, 256


class Generated:
    """A password of letters, digits, `-` and `_`: 6 bits of the state's random key a character (RFC 4648 5).

    The value is HMAC-SHA-256 of the rotation's id under that key, so it need not be stored to be the same after a crash.
    """

    kind = "generated"
    lists = False

    def __init__(self, key: Callable[[], bytes], length: int = 43) -> None:
        if not SHORTEST <= length <= LONGEST:
            raise UsageError(f"--length {length}: between {SHORTEST} and {LONGEST}")
        self._key, self._length = key, length

    async def refs(self, acting: str) -> Mapping[str, str]:
        """Nobody keeps a list."""
        return {}

    async def create(self, rotation: Rotation, now: datetime, acting: str) -> New:
        """The value of this rotation: the same each time it is asked for."""
        text, block = "", 0
        while len(text) < self._length:
            message = f"sophia rotation {rotation.id} {rotation.path} {block}".encode()
            text += (
                base64.urlsafe_b64encode(hmac.new(self._key(), message, hashlib.sha256).digest()).decode().rstrip("=")
            )
            block += 1
        return New(text[: self._length])

    async def test(self, value: str) -> None:
        """Nobody outside knows a generated value: that the environment gives it was checked before."""

    async def revoke(self, value: str, ref: str) -> None:
        """There is nothing to revoke: the old value is removed from the environment."""

    async def abandon(self, rotation: Rotation, acting: str) -> None:
        """It was never stored anywhere."""
