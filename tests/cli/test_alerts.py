"""Alerts of `sophia heal`: a mail over STARTTLS to a real server on loopback, once for each matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.harness import DOMAIN, Shop
from tests.cli.test_heal import APEX
from tests.providers.test_notify import smtp


def test_what_heal_leaves_open_is_mailed_once_and_encrypted(
    acme: Shop, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with smtp(work) as (post, server, _):
        monkeypatch.setenv("SSL_CERT_FILE", str(work / "ca.pem"))
        smtp_section = f"{{host: 127.0.0.1, port: {server.port}}}"
        acme.environment(APEX, more=f"monitoring: {{alert_email: ops@acme.example, smtp: {smtp_section}}}")
        assert acme.run("deploy", "--yes").code == 0
        acme.sandbox.edit(
            DOMAIN, add=[{"name": "@", "type": "A", "address": "198.51.100.66"}], remove=[{"name": "@", "type": "A"}]
        )
        assert [acme.run("heal").code for _ in range(2)] == [2, 2]
    [mail] = post.mails
    assert (post.encrypted, post.recipients) == ([True], [["ops@acme.example"]])
    assert DOMAIN in mail["Subject"]
