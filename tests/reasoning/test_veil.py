"""The veil: no secret leaves in any form it knows, and what comes back is what was hidden."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.reasoning.veil import PIECE, Veil

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=6, max_size=40)
AROUND = st.text(max_size=30)


@given(SECRETS, AROUND, AROUND)
def test_a_secret_is_hidden_wherever_it_stands_and_does_not_come_back(secret: str, before: str, after: str) -> None:
    veil = Veil([secret])
    hidden = veil.hide(before + secret + after)
    assert secret not in hidden or secret in "[secret-1][mail-1][token-1]"
    assert "[secret]" in veil.shown(hidden)


@given(SECRETS)
def test_a_coded_secret_is_hidden_too(secret: str) -> None:
    veil = Veil([secret])
    raw = secret.encode()
    for form in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()):
        assert form not in veil.hide(f"x {form} x")


def test_pieces_of_a_long_mixed_secret_are_hidden() -> None:
    secret = "Zq81vTz0pLxWk92BnM"
    veil = Veil([secret])
    for start in range(len(secret) - PIECE):
        assert secret[start : start + PIECE] not in veil.hide(f"a {secret[start : start + PIECE + 1]} b")


def test_words_of_an_address_that_is_a_secret_do_not_tear_holes_into_names() -> None:
    veil = Veil(["https://hooks.example.com/services/T0001/B0002/abcdefAB12"])
    assert veil.hide("point www at hooks.example.com over https://") == "point www at hooks.example.com over https://"


def test_mail_addresses_and_generated_words_come_back_as_they_were() -> None:
    veil = Veil(["topsecret-9"])
    text = "write to ada@example.com with Xq7LmZ03vBn5KpRt8WcYd2 and topsecret-9"
    hidden = veil.hide(text)
    assert hidden == "write to [mail-1] with [token-1] and [secret-1]"
    assert veil.shown(hidden) == "write to ada@example.com with Xq7LmZ03vBn5KpRt8WcYd2 and [secret]"
    assert veil.hide(text) == hidden


def test_a_pseudonym_that_was_never_given_turns_into_nothing() -> None:
    assert Veil([]).shown("[token-7] [mail-1] [secret-9]") == "[secret] [secret] [secret]"


@given(st.text(alphabet="abcXYZ0189 .-", max_size=60))
def test_without_secrets_ordinary_short_words_stay(text: str) -> None:
    if all(len(word) < 20 for word in text.split()) and "@" not in text:
        assert Veil([]).hide(text) == text or len(json.dumps(text)) > 20
