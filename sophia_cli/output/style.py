"""Colour for terminals: a palette that paints, or does not. Decides nothing about content."""

from __future__ import annotations

from dataclasses import dataclass

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "critical": "1;31",
    "high": "31",
    "medium": "33",
    "low": "36",
    "info": "2",
    "create": "32",
    "update": "33",
    "delete": "31",
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Paints text with SGR codes (ECMA-48 8.3.117) when `colour` is set."""

    colour: bool = False

    def paint(self, style: str, text: str) -> str:
        """The text in a style of the palette."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and text else text

    def padded(self, style: str, text: str, width: int) -> str:
        """The text painted and filled to a width that does not count the codes."""
        return self.paint(style, text) + " " * max(0, width - len(text))


def counted(number: int, noun: str) -> str:
    """A number and its noun: `1 change`, `2 changes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
