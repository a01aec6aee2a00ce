"""Foreign text made harmless: what others wrote is shown, never obeyed, by terminals, Markdown or HTML."""

from __future__ import annotations

import html
import re
import unicodedata

# Control (Cc), format (Cf: bidi overrides, zero-width joiners, tags), surrogate, private and unassigned characters, and the
# line and paragraph separators: none of them is visible, and some of them move or hide what is (UTS 39 5; CVE-2021-42574).
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Invisible fillers that Unicode counts as letters or marks.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5") | {chr(code) for code in range(0xFE00, 0xFE10)}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~@&:])")


def escaped(text: str) -> str:
    """The text with every invisible or steering character written as its escape, such as `\\x1b` or `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN or character in _BLANKS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def markdown_escaped(text: str) -> str:
    """`escaped`, and with every character that Markdown or GitHub gives a meaning escaped (tables, links, mentions)."""
    return _MARKDOWN.sub(r"\\\1", escaped(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\@", "&#64;")


def html_escaped(text: str) -> str:
    """`escaped`, and safe as HTML text or as a quoted attribute."""
    return html.escape(escaped(text), quote=True)
