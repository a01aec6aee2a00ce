"""The state directory: atomic, durable, private files. Knows nothing of what they mean."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sophia_cli.core.errors import StateError

T = TypeVar("T")

_HINT = "free some space or mend the permissions of the state directory, or choose another with --state DIR"
_FOREIGN_HINT = "restore it from a backup, or move it away"
LONGEST_NAME = 200  # of 255 bytes (NAME_MAX), so that a temporary name beside it fits as well
LOCK_WAIT_S = 30.0


class Directory:
    """A folder of JSON files, each replaced atomically: a reader sees the old text or the new one, never half of it.

    Files are 0600 and folders 0700, because environments and zones are not for other users of the machine.
    Every `OSError` becomes a `StateError` that names the path.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, *parts: str) -> Path:
        """The path of an entry; each part is made one safe file name, so none leads out of its folder."""
        return self.root.joinpath(*(file_name(part) for part in parts))

    def make(self) -> None:
        """Create the folder, and keep it out of git."""
        with translated(self.root):
            if not self.root.is_dir():
                self.root.parent.mkdir(parents=True, exist_ok=True)
                _make_private(self.root)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                replace_text(ignore, "*\n")

    def folder(self, path: Path) -> None:
        """Create a folder somewhere below the root; each one on the way is private."""
        self.make()
        with translated(path):
            for step in (*reversed(path.relative_to(self.root).parents), path.relative_to(self.root)):
                _make_private(self.root / step)

    def write(self, data: Any, *parts: str) -> None:
        """Replace an entry durably: temporary file, fsync, rename, fsync of the folder (rename(2))."""
        path = self.path(*parts)
        self.folder(path.parent)
        with translated(path):
            replace_text(path, json.dumps(data, indent=1) + "\n")

    def read(self, *parts: str) -> Any | None:
        """The content of an entry, or None when it is not there."""
        return self.load(self.path(*parts))

    def names(self, *parts: str) -> tuple[Path, ...]:
        """The entries of a folder, sorted by name. A folder that may not be read is an error, never an empty one."""
        folder = self.path(*parts)
        with translated(folder):
            try:
                found = os.listdir(folder)  # unlike glob, which passes over what it may not read
            except FileNotFoundError:
                return ()
        stems = sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))
        return tuple(folder / (stem + ".json") for stem in stems)

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

    @contextlib.contextmanager
    def alone(self, *parts: str) -> Iterator[None]:
        """Be the only process inside, for the moment of one change; waits for the others, but not without end."""
        path = self.path(*parts)
        self.folder(path.parent)
        with translated(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _lock(handle, path)
                yield
            finally:
                os.close(handle)

    @staticmethod
    def load(path: Path) -> Any | None:
        """The content of an entry that `names` listed, or None when it went away since."""
        with translated(path):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            data = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise StateError(f"{path} is not readable state: {exc}", hint=_FOREIGN_HINT) from exc
        if data is None:
            raise StateError(f"{path} is not readable state: it holds null", hint=_FOREIGN_HINT)
        return data


def file_name(part: str) -> str:
    """A text as one file name: no separators, never `.` or `..`, never empty, never too long, different for each text."""
    safe = quote(part, safe=" @+=,", errors="surrogatepass")
    if not safe.strip("."):
        safe = safe.replace(".", "%2E") or "%"
    if len(safe) <= LONGEST_NAME:
        return safe
    digest = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    ending = ".json" if part.endswith(".json") else ""
    return (
        f"{safe[: LONGEST_NAME - 40]}#{digest}{ending}"  # a `#` stands in no quoted text, so no other name is this one
    )


def decoded(place: object, data: Any, build: Callable[[Any], T]) -> T:
    """The value of stored data. Raises `StateError` naming the place when the data is something else's."""
    try:
        return build(data)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as exc:
        raise StateError(f"{place} holds something else than sophia wrote there", hint=_FOREIGN_HINT) from exc


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
    """Make a rename, creation or removal in a folder durable."""
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


def _make_private(folder: Path) -> None:
    # Not mkdir(parents=True): that gives the mode to the last folder only.
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    sync_folder(folder.parent)


def _lock(handle: int, path: Path) -> None:
    deadline, pause_s = time.monotonic() + LOCK_WAIT_S, 0.001
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            # Others hold it for one change of a file only; one that was stopped there must not stop everybody for ever.
            if time.monotonic() > deadline:
                message = f"state {path}: another process has held it for {LOCK_WAIT_S:.0f} s"
                raise StateError(message, hint="end the process that hangs (fuser shows it)") from None
            time.sleep(pause_s)
            pause_s = min(0.02, pause_s * 2)
