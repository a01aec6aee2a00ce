"""Guards: what is refused before a sentence is read: unreadable signs, quotations, orders that no sentence may give."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.reading import OutOfScope, Reading, Unclear, Why
from sophia_cli.reasoning.scores import ACTS
from sophia_cli.reasoning.vocabulary import Vocabulary

TEXT_AT_MOST: Final = 2000


def normalised(text: str) -> str:
    """NFKC, one kind of quotes and spaces; new lines are kept because they mark what was pasted."""
    plain = unicodedata.normalize("NFKC", text[: TEXT_AT_MOST + 1])
    for sign, meant in {
        "‘": "'",
        "’": "'",
        "‛": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "\t": " ",
        "\r": "",
    }.items():
        plain = plain.replace(sign, meant)
    return re.sub(r" +", " ", plain).strip()


def unreadable(plain: str) -> Reading | None:
    if not plain:
        return Unclear("What shall I do? For example: point api at 203.0.113.9, or: what changed yesterday?")
    if len(plain) > TEXT_AT_MOST:
        return Unclear(f"That is longer than {TEXT_AT_MOST} characters. Please ask for one thing at a time.")
    if plain.count('"') % 2 or plain.count("`") % 2:
        return Unclear("A quotation mark is opened and never closed, so where the value ends is not known.")
    hidden = sorted({sign for sign in plain if sign != "\n" and unicodedata.category(sign) in {"Cc", "Cf", "Co", "Cs"}})
    if hidden:
        shown = ", ".join(f"U+{ord(sign):04X}" for sign in hidden[:5])
        return Unclear(f"The text has characters that cannot be seen ({shown}), so it is not read. Please type it.")
    return None


def quoted(plain: str, tokens: Sequence[Token], words: Vocabulary) -> Why | None:
    """Whether the text is quoted, pasted or speaks in another's role."""
    marks = "\"'`"
    lines = [line for line in plain.splitlines() if line.strip()]
    role = re.match(r"[\w /-]{1,40}:(?!:)\s", plain)
    addressed = role and all(
        word in {"sophia", "hey", "hi", "please", "hello", "ok"} for word in role[0].lower().strip(": ").split()
    )
    if plain[0] in marks or (plain[-1] in marks and plain[0] in marks) or len(lines) > 1 or plain[0] in ">$#{[<|%":
        return Why.quoted
    if role and not addressed and not role[0].lower().startswith(("ttl", "v=")):
        return Why.quoted
    stamped = re.match(r"\[?\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}", plain.lower())
    spoken = any(
        token.kind == "quoted" and len(token.text.split()) > 1 and token.text.split()[0].lower() in words.base
        for token in tokens
    )
    return Why.quoted if stamped or spoken else None


def forbidden(tokens: Sequence[Token], words: Vocabulary) -> Reading | None:
    """What no sentence may do: remove everything, or speak for the gate."""
    texts = {token.text for token in tokens if token.kind == "word"}
    classes = {name for text in texts for name in words.base.get(text, ())}
    if texts & words.gate and (
        classes & ACTS or texts & {"approve", "confirm", "authorise", "authorize", "skip", "bypass"}
    ):
        return OutOfScope(
            "Approvals, limits and policy are not moved by a sentence: a person runs sophia approve, or edits the environment."
        )
    removing = {
        token.text
        for token in tokens
        if token.kind == "word" and words.base.get(token.text, frozenset()) & {"remove", "destroy"}
    }
    everything = {
        token.text
        for n, token in enumerate(tokens)
        if token.kind == "word"
        and "everything" in words.nouns.get(token.text, ())
        and not (n and tokens[n - 1].text in {"called", "named"})
    }
    if removing and everything:
        return OutOfScope("Everything at once is never removed on a sentence. Name the records one by one.")
    nouns = {name for text in texts for name in words.nouns.get(text, ())}
    named = any(token.kind == "host" for token in tokens) or not nouns & {"zone", "domain", "dns", "infrastructure"}
    if (
        removing
        and nouns & {"zone", "domain", "infrastructure", "dns"}
        and not named
        and not nouns & {"record", "subdomain"}
    ):
        return OutOfScope("A whole domain or zone is never removed on a sentence. Name the records one by one.")
    return None
