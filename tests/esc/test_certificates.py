"""The `ssl` section read: which authority is asked first, whose external account is whose, what a certificate inherits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sophia_cli.core.certificates import AUTHORITIES, directories, sections, wanted
from sophia_cli.core.settings import Ssl
from sophia_cli.esc.environment import Environment
from sophia_cli.esc.settings import settings

Evaluate = Callable[..., Environment]
Read = Callable[[str], Ssl]


@pytest.fixture
def ssl(evaluate: Evaluate) -> Read:
    return lambda text: settings(evaluate(f"values:\n  ssl: {{{text}}}\n")).ssl


def test_authorities_are_asked_in_the_order_they_are_named(ssl: Read) -> None:
    found = ssl("domains: [a.example], provider: [google, letsencrypt]")
    assert directories(found) == (AUTHORITIES["google"], AUTHORITIES["letsencrypt"])
    order = wanted(found)
    assert order is not None
    assert (order.authority, order.others) == (AUTHORITIES["google"], (AUTHORITIES["letsencrypt"],))
    addresses = '["https://one.example/dir", "https://127.0.0.1:14000/dir"]'
    assert directories(ssl(f"domains: [a.example], provider: zerossl, directory: {addresses}")) == (
        "https://one.example/dir",
        "https://127.0.0.1:14000/dir",
    )


def test_each_external_account_is_shown_to_its_own_authority_alone(ssl: Read) -> None:
    pair = "{key_id: {fn::secret: %s}, hmac_key: {fn::secret: mac-of-%s}}"
    text = f"provider: [zerossl, google], eab: {{zerossl: {pair % ('z', 'z')}, {AUTHORITIES['google']!r}: {pair % ('g', 'g')}}}"
    found = ssl(text).external_accounts
    assert {url: (one.key_id.get_secret_value(), one.hmac_key.get_secret_value()) for url, one in found.items()} == {
        AUTHORITIES["zerossl"]: ("z", "mac-of-z"),
        AUTHORITIES["google"]: ("g", "mac-of-g"),
    }
    assert list(ssl(f"provider: zerossl, eab: {pair % ('z', 'z')}").external_accounts) == [AUTHORITIES["zerossl"]]


def test_a_named_certificate_takes_from_the_section_what_it_does_not_say(ssl: Read) -> None:
    found = ssl(
        "domains: [a.example], key_type: rsa, profile: classic, preferred_chain: shortest, "
        "certificates: {shop: {domains: [shop.a.example], key_type: ecdsa, profile: tlsserver}}"
    )
    assert list(sections(found)) == ["a.example", "shop"]
    shop = sections(found)["shop"]
    assert (shop.key_type, shop.profile, shop.preferred_chain) == ("ec-p256", "tlsserver", "shortest")
    inner = "certificates: {shop: {domains: [shop.a.example]}, api: {domains: [api.a.example], renew_before_days: 40}}"
    early = sections(ssl(f"domains: [a.example], renew_before_days: 30, {inner}"))
    assert {name: one.renew_before_days for name, one in early.items()} == {"a.example": 30, "shop": 30, "api": 40}
    assert found.names == ("a.example", "shop.a.example")
    assert sections(ssl("certificates: {shop: {domains: [shop.a.example]}}")).keys() == {"shop"}
