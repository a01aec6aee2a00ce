"""A shop whose environment names a hostile model, and a vault of secrets that must never reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import Shop, shop
from tests.hostile.server import Hostile, Play, hostile, says

SECRETS = ("hunter2-Kq81vTz0pLxW", "S3cr\"et\\with'quotes-9Zb", "passw0rd-für-später-7Qx")
WANTED = (
    "{type: A, value: 203.0.113.10, name: api}",
    "{type: A, value: 203.0.113.77, name: fresh}",
)


class Stage:
    """The shop, the model, and the environment between them."""

    def __init__(self, shop: Shop, model: Hostile, dialled: set[int]) -> None:
        self.shop = shop
        self.dialled = dialled
        """The ports on loopback that this process connected to; beyond loopback nothing can be reached in tests."""
        self.model = model

    def environment(self, *records: str, dns: str = "", more: str = "", base_url: str = "", **model: Any) -> None:
        """Write the environment with a `model` section and secrets."""
        settings = {"base_url": base_url or self.model.base_url, "name": "hostile", "timeout_s": 20, **model}
        lines = ["ai_infrastructure:", "  model:"]
        lines += [f"    {key}: {value}" for key, value in settings.items()]
        lines += ["    api_key: {fn::secret: key-for-the-model-Zx81}"]
        lines += ["vault:"]
        lines += [f"  s{number}: {{fn::secret: {_quoted(secret)}}}" for number, secret in enumerate(SECRETS)]
        self.shop.environment(*(records or WANTED), dns=dns, more="\n".join([*lines, *more.splitlines()]))

    def run(self, *words: str) -> Any:
        return self.shop.run(*words)

    def log(self) -> dict[str, Any]:
        """The audit log and whether its chain holds (`sophia.audit/1`)."""
        return self.shop.run("audit", "show", "-o", "json").data  # type: ignore[no-any-return]

    def audit(self, action: str) -> list[dict[str, Any]]:
        """The audited events of one action."""
        return [event for event in self.log()["events"] if event["action"] == action]


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The ports that are connected to over TCP."""
    import socket

    found: set[int] = set()
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        if self.type & socket.SOCK_STREAM and isinstance(address, tuple):
            found.add(address[1])
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return found


@pytest.fixture
def stage_of(work: Path, dialled: set[int]) -> Iterator[Any]:
    """Builds a stage: rows of the zone, and what the model plays."""
    with ExitStack() as stack:

        def build(*rows: tuple[Any, ...], play: Play | None = None, **model: Any) -> Stage:
            server = stack.enter_context(hostile(play or says("{}")))
            found = Stage(stack.enter_context(shop(work, *rows)), server, dialled)
            found.environment(**model)
            return found

        yield build
