"""A state that a team shares, for the sweeps: a real redis-server, what it held at the start of a stage, and time for leases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.store.forms import RedisProcess, served


@dataclass
class Shared:
    """One server, and the image of its keys that a stage goes back to."""

    server: RedisProcess
    image: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Over TCP, so that each command to it and each answer is a point to kill at."""
        return self.server.url()

    def clear(self) -> None:
        with self.server.client() as client:
            client.flushall()

    def keep(self) -> None:
        """Remember what is there."""
        with self.server.client() as client:
            self.image = {key: client.dump(key) for key in client.keys("*")}

    def restore(self) -> None:
        """Put back what was remembered, and nothing else."""
        with self.server.client() as client:
            client.flushall()
            for key, value in self.image.items():
                client.restore(key, 0, value)

    def end_leases(self) -> None:
        """A killed holder's leases run out, as they would with time."""
        with self.server.client() as client:
            for key in client.keys("*:lock:*"):
                client.delete(key)


@contextlib.contextmanager
def shared() -> Iterator[Shared]:
    """A server of its own; skips the test where there is no redis-server."""
    with served(port=True) as server:
        yield Shared(server)
