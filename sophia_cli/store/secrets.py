"""What the state knows of secrets: a key, keyed digests with the day each was first seen, and rotations. Stores no value."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sophia_cli.core.canonical import canonical
from sophia_cli.core.history import moment, timestamp
from sophia_cli.core.rotation import Rotation
from sophia_cli.store.directory import Directory, decoded

_KEY_BYTES = 32


class FileSeals:
    """Digests under a random key of this state (`secrets/key.json`, 0600), so that guessing values needs the key too."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known_key: bytes | None = None
        self._values: dict[str, Any] = {}

    def seal(self, value: Any) -> str:
        """The keyed digest (HMAC-SHA-256, RFC 2104) of a value, which is remembered until the process ends."""
        found = "hmac:" + hmac.new(self.key, canonical(value), hashlib.sha256).hexdigest()
        self._values[found] = value
        return found

    def opened(self, seal: str) -> Any:
        """The value of a digest; None when this process has not seen it."""
        return self._values.get(seal)

    @property
    def key(self) -> bytes:
        """The key, made when it is first needed."""
        if self._known_key is None:
            place = ("secrets", "key.json")
            with self._directory.alone("secrets", "secrets.lock"):
                data = self._directory.read(*place)
                if data is None:
                    data = {"key": secrets.token_hex(_KEY_BYTES)}
                    self._directory.write(data, *place)
            self._known_key = decoded(self._directory.path(*place), data, lambda one: bytes.fromhex(one["key"]))
        return self._known_key


class FileRotations:
    """Rotations: `secrets/rotations/PATH.json`, the newest of each path; first sightings in `secrets/seen.json`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def load(self, path: str) -> Rotation | None:
        """The newest rotation of a path."""
        place = ("secrets", "rotations", path + ".json")
        data = self._directory.read(*place)
        return None if data is None else decoded(self._directory.path(*place), data, Rotation.from_data)

    async def save(self, rotation: Rotation) -> None:
        """Store it durably, replacing the earlier form."""
        self._directory.write(rotation.data(), "secrets", "rotations", rotation.path + ".json")

    async def first_seen(self, seals: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """When the value at each path was first seen; a value not seen before is noted as of now."""
        place = ("secrets", "seen.json")
        with self._directory.alone("secrets", "seen.lock"):
            data = self._directory.read(*place)
            known = {} if data is None else decoded(self._directory.path(*place), data, _sightings)
            after = dict(known)
            for path, seal in seals.items():
                if path not in known or known[path][0] != seal:
                    after[path] = (seal, now)
            if after != known:
                stored = {path: {"seal": seal, "since": timestamp(since)} for path, (seal, since) in after.items()}
                self._directory.write(stored, *place)
        return {path: after[path][1] for path in seals}


def _sightings(data: Any) -> dict[str, tuple[str, datetime]]:
    return {path: (one["seal"], moment(one["since"])) for path, one in data.items()}
