"""What must hold after every attack: nothing written but the environment, nothing leaked, nothing obeyed, all audited."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import urlsplit

from tests.cli.harness import ROWS
from tests.hostile.conftest import SECRETS, Stage
from tests.hostile.server import Hostile

KEY = "key-for-the-model-Zx81"
FRESH = ("fresh", "A", "203.0.113.77")
BEFORE = {row[:3] for row in ROWS}


def is_escaped(text: str) -> bool:
    """Whether a terminal would obey nothing in it."""
    return not any(unicodedata.category(sign) in ("Cc", "Cf", "Co", "Cs") and sign != "\n" for sign in text)


def leaks(model: Hostile) -> list[str]:
    """The secrets that a model was sent; its own key may stand in the one header that is for it."""
    sent = model.sent()
    found = [secret for secret in SECRETS if secret in sent or ascii(secret)[1:-1] in sent]
    bodies = "\n".join(got.raw.decode() for got in model.requests)
    bearers = [got.headers.get("authorization") for got in model.requests]
    strays = [bearer for bearer in bearers if bearer != f"Bearer {KEY}"]
    return found + ([KEY] if KEY in bodies else []) + [str(stray) for stray in strays]


def assert_held(stage: Stage, ran: Any, *, code: int = 0, rows: set[Any] | None = None) -> None:
    """All of it."""
    assert ran.code == code, ran.out + ran.err
    assert stage.shop.rows() == (BEFORE | {FRESH} if rows is None else rows)
    assert leaks(stage.model) == []
    assert is_escaped(ran.out), ascii(ran.out)
    assert is_escaped(ran.err), ascii(ran.err)
    assert {got.path for got in stage.model.requests} <= {"/v1/chat/completions"}
    ours = {
        urlsplit(stage.shop.sandbox.endpoint).port,
        int(stage.shop.sandbox.dns.rpartition(":")[2]),
        stage.model.port,
    }
    assert stage.dialled <= ours
    assert "Traceback" not in ran.err
    log = stage.log()
    assert log["ok"], log["problems"]
    asked = [event for event in log["events"] if event["action"] == "model"]
    assert sum(event["detail"]["requests"] for event in asked) == len(stage.model.requests)
    assert {event["detail"]["host"] for event in asked} <= {stage.model.host}
    assert all(event["detail"]["prompt"].startswith("sha256:") for event in asked)
