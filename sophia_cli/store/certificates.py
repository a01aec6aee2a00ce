"""Certificates on disk: one new folder a version, and one symbolic link that key and chain are switched by together.

Layout below the root, for a certificate `acme.example` (all folders 0700, all keys 0600):

    acme.example/current -> versions/20261122T154300123-0a1b2c3d
    acme.example/versions/VERSION/{privkey,cert,chain,fullchain}.pem, certificate.json
    acme.example/pending/{order.json,privkey.pem}    the order that is under way
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from sophia_cli.core.certificates import CertificateState, Installed, PendingOrder
from sophia_cli.core.errors import Refused, StateError
from sophia_cli.store.directory import Directory, decoded, file_name, replace_text, sync_folder, translated
from sophia_cli.store.pem import blocks, refuse_mismatch

KEPT_VERSIONS = 5
_NEW = ".new-"
_KEY, _LEAF, _CHAIN, _FULL, _FACTS = "privkey.pem", "cert.pem", "chain.pem", "fullchain.pem", "certificate.json"


class CertificateFiles:
    """The certificates below one folder. A reader of `current/` sees the old key and chain or the new ones, never both."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = Directory(root)

    def paths(self, name: str) -> Mapping[str, Path]:
        """Where servers find the current files; the paths stay the same over renewals."""
        folder = (self._folder(name) / "current").absolute()
        names = {"fullchain": _FULL, "chain": _CHAIN, "certificate": _LEAF, "key": _KEY}
        return {"folder": folder, **{kind: folder / file for kind, file in names.items()}}

    # -- what is there ------------------------------------------------------------------------------------------------

    async def state(self, name: str) -> CertificateState:
        """What `current` points at."""
        version = self._current(name)
        return CertificateState(name, None if version is None else self._installed(name, version))

    async def versions(self, name: str) -> tuple[Installed, ...]:
        """Every kept version, newest first."""
        return tuple(self._installed(name, version) for version in self._versions(name))

    async def chain(self, name: str, version: str) -> str:
        """The PEM text of a version."""
        return self._read(self._version(name, version) / _FULL)

    async def key(self, name: str, version: str) -> SecretStr:
        """The private key of a version."""
        return SecretStr(self._read(self._version(name, version) / _KEY))

    # -- the order under way --------------------------------------------------------------------------------------------

    async def pending(self, name: str) -> PendingOrder | None:
        """The order that is under way."""
        data = self._directory.read(name, "pending", "order.json")
        return None if data is None else decoded(self._pending(name), data, PendingOrder.from_data)

    async def save_pending(self, name: str, pending: PendingOrder) -> None:
        """Note it durably."""
        self._directory.write(pending.data(), name, "pending", "order.json")

    async def pending_key(self, name: str) -> SecretStr | None:
        """The key it was begun with."""
        path = self._pending(name) / _KEY
        with translated(path):
            if not path.exists():
                return None
        return SecretStr(self._read(path))

    async def save_pending_key(self, name: str, key: SecretStr) -> None:
        """Keep the key durably."""
        folder = self._pending(name)
        self._directory.folder(folder)
        with translated(folder):
            replace_text(folder / _KEY, key.get_secret_value())

    async def drop_pending(self, name: str) -> None:
        """Forget the order first, then its key: a key without an order is only ever overwritten."""
        for entry in ("order.json", _KEY):
            self._directory.remove(name, "pending", entry)

    # -- installing -----------------------------------------------------------------------------------------------------

    async def install(self, name: str, chain: str, installed: Installed) -> None:
        """A new version from the pending key and this chain, durable before anything points at it; then the switch."""
        key = await self.pending_key(name)
        if key is None:
            raise StateError(f"{name}: the key of the order is gone", hint=f"issue anew: sophia cert issue {name}")
        refuse_mismatch(key, chain, installed.names)
        leaf, *rest = blocks(chain)
        texts = {_KEY: key.get_secret_value(), _LEAF: leaf, _CHAIN: "".join(rest), _FULL: "".join((leaf, *rest))}
        target = self._version(name, installed.version)
        with translated(target):
            if not target.exists():
                self._lay_down(target, {**texts, _FACTS: json.dumps(installed.data(), indent=1) + "\n"})
        await self.switch(name, installed.version)
        self._prune(name)

    def _lay_down(self, target: Path, texts: Mapping[str, str]) -> None:
        """Write a version beside its place and move it there whole: rename(2) of a folder is atomic."""
        self._directory.folder(target.parent)
        for left in target.parent.glob(_NEW + "*"):  # of a run that was killed here
            shutil.rmtree(left)
        fresh = Path(tempfile.mkdtemp(prefix=_NEW, dir=target.parent))
        for file, text in texts.items():
            replace_text(fresh / file, text, 0o600 if file == _KEY else 0o644)
        os.replace(fresh, target)
        sync_folder(target.parent)

    async def switch(self, name: str, version: str | None) -> None:
        """Point `current` at a version by renaming a new link over the old one, which is one step for every reader."""
        link = self._folder(name) / "current"
        if version is None:
            with translated(link), contextlib.suppress(FileNotFoundError):
                link.unlink()
                sync_folder(link.parent)
            return
        if version not in self._versions(name):
            raise Refused(f"{name}: the version {version} is not kept any more", hint="sophia cert list")
        with translated(link):
            fresh = link.with_name(".current.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(Path("versions") / file_name(version))
            os.replace(fresh, link)
            sync_folder(link.parent)

    async def amend(self, name: str, installed: Installed) -> None:
        """Replace what is noted of a version."""
        path = self._version(name, installed.version) / _FACTS
        with translated(path):
            replace_text(path, json.dumps(installed.data(), indent=1) + "\n", 0o644)

    def _prune(self, name: str) -> None:
        current = self._current(name)
        for version in self._versions(name)[KEPT_VERSIONS:]:
            if version != current:
                path = self._version(name, version)
                with translated(path):
                    shutil.rmtree(path)

    # -- places ---------------------------------------------------------------------------------------------------------

    def _folder(self, name: str) -> Path:
        return self._directory.path(name)

    def _pending(self, name: str) -> Path:
        return self._directory.path(name, "pending")

    def _version(self, name: str, version: str) -> Path:
        return self._directory.path(name, "versions", version)

    def _versions(self, name: str) -> tuple[str, ...]:
        """The names of the kept versions, newest first; they begin with the time they were installed."""
        folder = self._directory.path(name, "versions")
        with translated(folder):
            try:
                found = os.listdir(folder)
            except FileNotFoundError:
                return ()
        return tuple(sorted((version for version in found if not version.startswith(".")), reverse=True))

    def _current(self, name: str) -> str | None:
        link = self._folder(name) / "current"
        with translated(link):
            try:
                return os.path.basename(os.readlink(link))
            except FileNotFoundError:
                return None

    def _installed(self, name: str, version: str) -> Installed:
        path = self._version(name, version) / _FACTS
        data = self._directory.load(path)
        if data is None:
            raise StateError(f"{path} is gone", hint=f"restore it, or remove {path.parent} and its `current` link")
        return decoded(path, data, Installed.from_data)

    @staticmethod
    def _read(path: Path) -> str:
        with translated(path):
            return path.read_text(encoding="ascii", errors="replace")
