"""What looks like a secret and what does not: keys, hashes and proofs of control are meant to be public."""

from __future__ import annotations

import pytest

from sophia_cli.core.changes import Change
from sophia_cli.core.leaks import secrets_in
from sophia_cli.core.plan import Plan, TargetBase
from tests.builders import NOW, txt

PUBLIC = (
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v",
    "google-site-verification=rXOxyZounnZasA8Z7oaD3c14JdjS9aKSWvsR1EbUSIQ",
    "MS=ms12345678",
    "facebook-domain-verification=22rm551cu4k0ab0bxsw536tlds4h95",
    "docusign=05958488-4752-4ef2-95eb-aa7ba8a3bd0e",
    "amazonses:pmBGN/7MjnfhTKUZ06Enqq1PeGUaOkw8lGhcfwefcHU=",
    "stripe-verification=5d9a4d1e2c5b2b7c1e1a9ee5a3f7d3b8c2f1e0d9a8b7c6d5e4f3a2b1c0d9e8f7",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM",
    "secret_rotation_days: 90",
    "password_file: /run/secrets/password",
    "token: ${pulumi.access_token}",
    "api_key: {fn::secret: ${ci.key}}",
    "api_key: {fn::open::aws-secrets: {get: x}}",
    "access_key: {fn::secret: {ciphertext: ZXNjeAAAAAEAAAEAdshA}}",
    "password: change-me-please-now",
    "client_secret: <YOUR-CLIENT-SECRET>",
    "api_key=YOUR_API_KEY_HERE",
    "https://example.com:8443/path@v2",
    "postgres://${db.user}:${db.password}@db.internal/app",
)
SECRET = (
    ("x ghp_" + "a1B2c3D4e5F6" * 3, "GitHub token"),
    ("AKIAIOSFODNN7EXAMPLE", "AWS access key"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "named secret"),
    ("db password=hG7-kL2_qW9zT4", "named secret"),
    ("AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq", "named secret"),
    ("postgres://app:hunter2x9Zq@db.internal/app", "URL with a password"),
    ("hf_" + "aB3dE5fG7h" * 3 + "4", "Hugging Face token"),
)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_meant_to_be_public_is_no_secret(text: str) -> None:
    assert secrets_in(text) == []


@pytest.mark.parametrize(("text", "kind"), SECRET)
def test_a_token_is_known_by_its_form_or_its_name(text: str, kind: str) -> None:
    assert [found for found, _ in secrets_in(text)] == [kind]


def test_a_plan_shows_no_token_and_is_bound_to_it_all_the_same() -> None:
    def plan(token: str) -> Plan:
        change = Change("dns:a.example", "dns.record", "delete", txt(f"token {token}"), None)
        return Plan("acme", NOW, (TargetBase("dns:a.example", "sha256:0", True),), (change,))

    one, two = (plan("ghp_" + "a1B2c3D4e5F6" * 3 + end) for end in "XY")
    assert one.data()["changes"] == two.data()["changes"]
    assert one.data()["changes"][0]["before"]["value"] == "[secret]"
    assert one.digest != two.digest
