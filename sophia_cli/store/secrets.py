"""What the state knows of secrets: a key, keyed digests with the day each was first seen, and rotations. Stores no value."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sophia_cli.core.canonical import canonical
from sophia_cli.core.errors import Refused
from sophia_cli.core.history import moment, timestamp
from sophia_cli.core.rotation import Rotation
from sophia_cli.store.directory import Directory, decoded
from sophia_cli.store.documents import Documents

_KEY_BYTES = 32
_SALT_BYTES = 16
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 16}  # about 50 ms and 16 MB a value (RFC 7914)

_Sightings = tuple[str, dict[str, tuple[str, datetime]]]
"""The salt, and by path the digest of the value and the time it was first seen."""


class FileSeals:
    """Digests under a random key of this state (`secrets/key.json`, 0600), so that guessing values needs the key too.

    Generated values are derived from the key, so it never leaves the machine.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known_key: bytes | None = None
        self._values: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """What tells this key from another machine's, and nothing else of it."""
        return hmac.new(self.key, b"the name of this key", hashlib.sha256).hexdigest()[:16]

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


class StoredRotations:
    """What is known of one environment's secrets: the newest rotation of each path, and when each value was first seen.

    `secrets/ENVIRONMENT/rotations/PATH` and `secrets/ENVIRONMENT/seen`. The state may be on a server, so the digests of
    the second are slow ones (scrypt under a salt of their own): who reads them there can guess a value only slowly.
    """

    def __init__(self, documents: Documents, environment: str) -> None:
        self._documents = documents
        self._environment = environment

    def place(self, path: str) -> str:
        """Where the rotation of a path stands."""
        return self._documents.place(*self._rotation(path))

    async def load(self, path: str) -> Rotation | None:
        """The newest rotation of a path."""
        return self._loaded(path, await self._documents.read(*self._rotation(path)))

    async def save(self, rotation: Rotation) -> None:
        """Store it durably, replacing the earlier form. Raises `Refused` when another one of this path is open."""

        def move(data: Any) -> Any:
            there = self._loaded(rotation.path, data)
            if there is not None and there.step != "done" and there.id != rotation.id:
                raise Refused(f"{rotation.path}: another rotation of it began meanwhile", hint="sophia secrets list")
            return rotation.data()

        await self._documents.change(move, *self._rotation(rotation.path))

    async def first_seen(self, values: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """When the value at each path was first seen; a value not seen before is noted as of now."""
        place = ("secrets", self._environment, "seen")
        salt, _ = self._sightings(await self._documents.read(*place))
        digests = _digests(values, salt)
        after: dict[str, tuple[str, datetime]] = {}

        def move(data: Any) -> Any:
            nonlocal salt, digests, after
            standing, known = self._sightings(data, salt)
            if standing != salt:  # another process chose one meanwhile
                salt, digests = standing, _digests(values, standing)
            after = dict(known)
            for path, digest in digests.items():
                if path not in known or known[path][0] != digest:
                    after[path] = (digest, now)
            if after == known:
                return data
            seen = {path: {"digest": digest, "since": timestamp(since)} for path, (digest, since) in after.items()}
            return {"salt": salt, "seen": seen}

        if values:
            await self._documents.change(move, *place)
        return {path: after[path][1] for path in values}

    def _rotation(self, path: str) -> tuple[str, ...]:
        return ("secrets", self._environment, "rotations", path)

    def _loaded(self, path: str, data: Any) -> Rotation | None:
        return None if data is None else decoded(self.place(path), data, Rotation.from_data)

    def _sightings(self, data: Any, salt: str | None = None) -> _Sightings:
        if data is None:
            return salt or secrets.token_hex(_SALT_BYTES), {}
        return decoded(self._documents.place("secrets", self._environment, "seen"), data, _sightings)


def _digests(values: Mapping[str, str], salt: str) -> dict[str, str]:
    return {
        path: hashlib.scrypt(value.encode("utf-8", "surrogatepass"), salt=bytes.fromhex(salt), **_SCRYPT).hex()
        for path, value in values.items()
    }


def _sightings(data: Any) -> _Sightings:
    bytes.fromhex(data["salt"])
    return data["salt"], {path: (one["digest"], moment(one["since"])) for path, one in data["seen"].items()}
