"""The veil: secrets and personal texts become pseudonyms on their way to a model, and some come back. Sends nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

from sophia_cli.core.changes import SECRET

SHORTEST = 4  # characters of a secret that is looked for as a whole
PIECE = 8  # characters of a longer secret that are not shown either
_MAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_TOKEN = re.compile(r"[A-Za-z0-9_\-+/=]{20,}")
_PSEUDONYM = re.compile(r"\[(?:secret|mail|token)-\d+\]")


class Veil:
    """Pseudonyms of one run, numbered as they come: `[secret-1]`, `[mail-1]`, `[token-1]`.

    A secret is found as it is, base64 and percent encoded, in hexadecimal, and by every piece of `PIECE` characters that
    mixes kinds of characters, so that one cut in two is found as well. `shown` gives mail addresses and tokens back; a
    secret never comes back.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({text for text in secrets if len(text) >= SHORTEST}, key=lambda text: (-len(text), text))
        self._forms = {form: text for text in known for form in _forms(text)}
        self._pieces = {piece: text for text in known for piece in _pieces(text)}
        self._names: dict[str, str] = {}
        self._back: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """The text as it may leave."""
        for form in sorted(self._forms, key=len, reverse=True):
            if form in text:
                text = text.replace(form, self._name("secret", self._forms[form]))
        text = self._without_pieces(text)
        text = _MAIL.sub(lambda found: self._name("mail", found.group()), text)
        return _TOKEN.sub(
            lambda found: self._name("token", found.group()) if _random(found.group()) else found[0], text
        )

    def shown(self, text: str) -> str:
        """A text of the model with pseudonyms of mail addresses and tokens turned back; those of secrets say `[secret]`."""
        return _PSEUDONYM.sub(lambda found: self._back.get(found.group(), SECRET), text)

    def _name(self, kind: str, text: str) -> str:
        key = f"{kind} {text}"
        if key not in self._names:
            number = 1 + sum(1 for known in self._names if known.startswith(kind + " "))
            self._names[key] = f"[{kind}-{number}]"
            if kind != "secret":
                self._back[self._names[key]] = text
        return self._names[key]

    def _without_pieces(self, text: str) -> str:
        if not self._pieces or len(text) < PIECE:
            return text
        result: list[str] = []
        at = 0
        while at < len(text):
            owner = self._pieces.get(text[at : at + PIECE])
            if owner is None:
                result.append(text[at])
                at += 1
                continue
            end = at + PIECE
            while self._pieces.get(text[end - PIECE + 1 : end + 1]) == owner and end < len(text):
                end += 1
            result.append(self._name("secret", owner))
            at = end
        return "".join(result)


def _forms(text: str) -> set[str]:
    raw = text.encode("utf-8", "surrogatepass")
    coded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    forms = {text, raw.hex(), raw.hex().upper(), quote(text, safe=""), text[::-1] if len(text) >= PIECE else text}
    forms |= {form.rstrip("=") for form in coded} | coded
    return {form for form in forms if len(form) >= SHORTEST}


def _pieces(text: str) -> set[str]:
    found = {text[at : at + PIECE] for at in range(len(text) - PIECE + 1)} if len(text) >= PIECE + 2 else set()
    return {piece for piece in found if _kinds(piece) >= 2}


def _kinds(text: str) -> int:
    tests = (str.islower, str.isupper, str.isdigit)
    return sum(any(test(sign) for sign in text) for test in tests)


def _random(text: str) -> bool:
    """Whether a long word looks generated: two kinds of characters and a digit among them."""
    return _kinds(text) >= 2 and any(sign.isdigit() for sign in text) and len(set(text)) >= 10
