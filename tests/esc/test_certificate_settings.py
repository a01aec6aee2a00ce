"""The `ssl` and `monitoring` sections as settings: what issuing and alerting are told, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import run

HEAD = "values:\n  dns: {domain: acme.example, provider: sandbox, records: {}}\n"


def check(work: Path, text: str) -> Any:
    (work / "sophia.yaml").write_text(HEAD + text)
    return run("config", "check")


def test_all_keys_of_both_sections_are_taken_without_a_warning(work: Path) -> None:
    ran = check(
        work,
        "  ssl: {provider: letsencrypt, email: a@acme.example, domains: [acme.example], key_type: ec-p384,\n"
        "        profile: classic, challenge: dns-01, store: certificates, deploy_hook: ./hook.sh, ca_file: ca.pem,\n"
        "        eab: {key_id: k, hmac_key: {fn::secret: m}}}\n"
        "  monitoring: {alert_email: ops@acme.example, webhook: 'https://hooks.example/x', webhook_form: slack,\n"
        "        smtp: {host: mail.example, port: 587, username: u, password: {fn::secret: p}, sender: s@acme.example}}\n",
    )
    assert (ran.code, "no effect" in ran.out + ran.err, "unknown key" in ran.out + ran.err) == (0, False, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ssl: {domains: [acme.example], key_type: dsa-1024}\n", "dsa-1024"),
        ("  ssl: {domains: [acme.example], challenge: http-01}\n", "http-01"),
        ("  ssl: {domains: [acme.example], directory: 'http://ca.example/dir'}\n", "ca.example"),
        ("  monitoring: {webhook: 'http://hooks.example/x'}\n", "hooks.example"),
        ("  monitoring: {webhook: 'https://hooks.example/x', webhook_form: teams}\n", "teams"),
        ("  monitoring: {smtp: {host: mail.example, port: 70000}}\n", "70000"),
    ],
)
def test_what_could_not_work_is_refused_with_its_place(work: Path, text: str, said: str) -> None:
    ran = check(work, text)
    assert (ran.code, said in ran.out + ran.err) == (64, True)
