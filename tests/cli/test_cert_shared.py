"""Two machines, one Redis state: one keeps the certificate, the other sees it, orders nothing, and can take it over."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.certificate_stage import ZONE, Stage, servers
from tests.cli.harness import Ran
from tests.providers.acme import pebble
from tests.store.forms import served

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING),
]
On = Callable[..., Ran]


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stage, Stage, On]]:
    """Two folders on the same servers and the same state, each under a host name of its own."""
    with ExitStack() as stack:
        (tmp_path / "servers").mkdir()
        box, ca, data = stack.enter_context(servers(tmp_path / "servers"))
        redis = stack.enter_context(served(port=True))
        monkeypatch.setenv("SOPHIA_STATE", redis.url())
        stages = []
        for host in ("alpha", "beta"):
            (tmp_path / host).mkdir()
            stages.append(Stage(box, ca, data, tmp_path / host / "acme.yaml"))
            stages[-1].environment()

        def on(stage: Stage, *words: str) -> Ran:
            monkeypatch.setattr(socket, "gethostname", lambda: stage.file.parent.name)
            return stage.run(*words)

        yield stages[0], stages[1], on


def listed(on: On, stage: Stage) -> Any:
    (entry,) = on(stage, "cert", "list", "-o", "json").data["certificates"]
    return entry


def test_the_second_machine_orders_nothing_says_where_it_is_and_takes_it_over_only_when_told(
    machines: tuple[Stage, Stage, On],
) -> None:
    alpha, beta, on = machines
    assert on(alpha, "cert", "issue", "--yes").code == 0
    serial, orders = listed(on, alpha)["installed"]["serial"], alpha.orders()

    looked = on(beta, "cert", "issue", "--yes")
    assert (looked.code, looked.out.startswith("Nothing to do")) == (0, True), looked.err
    assert f"kept on alpha, which renews it (serial {serial}" in looked.err
    assert on(beta, "plan", "--detailed-exitcode").code == 0
    assert on(beta, "heal").code == 0
    assert (listed(on, beta)["installed"], listed(on, beta)["kept_by"]["host"]) == (None, "alpha")
    assert "kept by  alpha" in on(beta, "cert", "list").out
    assert not list((beta.file.parent / ".sophia" / "certificates").rglob("privkey.pem"))
    assert beta.orders() == orders

    assert on(alpha, "cert", "renew", "--force", "--yes").code == 0  # its keeper renews it as ever
    assert listed(on, beta)["kept_by"]["serial"] == listed(on, alpha)["installed"]["serial"] != serial

    assert on(beta, "cert", "issue", "--force", "--yes").code == 0
    assert listed(on, beta)["kept_by"] is None
    assert listed(on, alpha)["kept_by"]["host"] == "beta"
    assert (beta.current / "privkey.pem").exists()
    orders = alpha.orders()
    alpha.age(days=80)
    assert on(alpha, "heal").code == 0
    assert alpha.orders() == orders
    assert alpha.openssl_accepts(ZONE)
