"""The file of an account key: private, replaced atomically, never two keys lost at once. Knows nothing of the account."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from sophia_cli.core.errors import StateError
from sophia_cli.providers.acme.jws import SigningKey


class AccountKeyFile:
    """One PEM file, 0600. Beside it, while a key is being replaced, the next one as `NAME.next`.

    Every method may raise `StateError`, which names the path and shows nothing of the content.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(path.name + ".next")

    def load(self) -> SigningKey | None:
        """The key, or None when there is no file. One that others may read is refused."""
        return self._load(self.path)

    def load_next(self) -> SigningKey | None:
        """The key that was about to take its place when a run was stopped."""
        return self._load(self._next)

    def create(self) -> SigningKey:
        """The key; a new one when there is none. Of several runs that start at once, all get the same."""
        with _translated(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = _written(self.path, SigningKey.generate().pem())
            try:
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, self.path)  # unlike a rename, it never replaces one that is there (link(2))
            finally:
                temporary.unlink()
            _sync(self.path.parent)
        found = self.load()
        if found is None:
            raise StateError(f"{self.path} went away while it was written", hint="run again")
        return found

    def prepare(self) -> SigningKey:
        """A new key beside the present one, durable before anybody is told of it."""
        key = SigningKey.generate()
        with _translated(self._next):
            _written(self._next, key.pem()).replace(self._next)
            _sync(self.path.parent)
        return key

    def promote(self) -> None:
        """Let the next key take the place of the present one."""
        with _translated(self.path):
            self._next.replace(self.path)
            _sync(self.path.parent)

    def note(self, url: str) -> None:
        """Keep the account's URL beside its key, for those who want to know it without asking the authority.

        It stays the same when the key is replaced (RFC 8555 7.3.5).
        """
        if noted(self.path) == url:
            return
        place = _note_of(self.path)
        with _translated(place):
            _written(place, SecretStr(url + "\n")).replace(place)
            _sync(place.parent)

    def discard_next(self) -> None:
        """Forget the next key."""
        with _translated(self._next):
            self._next.unlink(missing_ok=True)
            _sync(self.path.parent)

    def _load(self, path: Path) -> SigningKey | None:
        with _translated(path):
            try:
                with path.open("rb") as stream:
                    mode = os.fstat(stream.fileno()).st_mode
                    content = stream.read(65536)
            except FileNotFoundError:
                return None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StateError(f"{path} can be read or written by other users", hint=f"chmod 600 {path}")
        return SigningKey.of_pem(SecretStr(content.decode("utf-8", "surrogateescape")), str(path))


def noted(path: Path) -> str | None:
    """The URL of the account whose key is kept at a path, as it was last seen; None when there is none."""
    with _translated(path):
        try:
            text = _note_of(path).read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return None
    return text or None


def _note_of(path: Path) -> Path:
    return path.with_name(path.stem + ".url")


def _written(path: Path, pem: SecretStr) -> Path:
    """A temporary file beside a path that holds the key, on the disk; mkstemp makes it 0600."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(pem.get_secret_value().encode("ascii"))
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateError(
            f"{path} cannot be used: {error.strerror or error}",
            hint="mend its permissions, or free some space",
        ) from error
