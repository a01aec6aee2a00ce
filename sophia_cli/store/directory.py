"""The state directory: atomic, durable, private files. Knows nothing of what they mean."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sophia_cli.core.errors import StateError

_HINT = "free some space or mend the permissions of the state directory, or choose another with --state DIR"


class Directory:
    """A folder of JSON files, each replaced atomically: a reader sees the old text or the new one, never half of it.

    Files are 0600 and folders 0700, because environments and zones are not for other users of the machine.
    Every `OSError` becomes a `StateError` that names the path.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, *parts: str) -> Path:
        """The path of an entry; each part is made safe as a file name."""
        return self.root.joinpath(*(quote(part, safe=" @+=,") for part in parts))

    def make(self) -> None:
        """Create the folder, and keep it out of git."""
        with translated(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")

    def write(self, data: Any, *parts: str) -> None:
        """Replace an entry durably: temporary file, fsync, rename, fsync of the folder (rename(2))."""
        path = self.path(*parts)
        self.make()
        with translated(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def read(self, *parts: str) -> Any | None:
        """The content of an entry, or None when it is not there."""
        return self._load(self.path(*parts))

    def names(self, *parts: str) -> tuple[Path, ...]:
        """The entries of a folder, sorted by name."""
        folder = self.path(*parts)
        with translated(folder):
            return tuple(sorted(folder.glob("*.json"))) if folder.is_dir() else ()

    def load(self, path: Path) -> Any:
        """The content of an entry that `names` listed."""
        content = self._load(path)
        if content is None:
            raise StateError(f"{path} went away while it was read", hint="run the command again")
        return content

    def remove(self, *parts: str) -> bool:
        """Remove an entry; False when it was not there."""
        path = self.path(*parts)
        with translated(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            sync_folder(path.parent)
            return True

    @staticmethod
    def _load(path: Path) -> Any | None:
        with translated(path):
            try:
                text = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                return None
        try:
            return json.loads(text)
        except ValueError as exc:
            raise StateError(f"{path} is not readable state: {exc}", hint="restore it, or move it away") from exc


def replace_text(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file's text atomically and durably. Raises `OSError`; the old text then stands unharmed."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or removal in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StateError` that names the path."""
    try:
        yield
    except OSError as exc:
        raise StateError(f"state {path}: {exc.strerror or exc}", hint=_HINT) from exc
