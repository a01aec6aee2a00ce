"""Diagnostics: what is wrong where in an environment file. Collects all of them and never stops at the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sophia_cli.core.settings import Origin

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error or warning; `path` is the place in the document, such as `values.dns.ttl`."""

    severity: Severity
    message: str
    path: str
    at: Origin

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `sophia.config/1`)."""
        return {
            "severity": self.severity,
            "path": self.path,
            "file": self.at.file,
            "line": self.at.line,
            "column": self.at.column,
            "message": self.message,
        }

    @property
    def line(self) -> str:
        """The diagnostic as one line of text: `FILE:LINE:COLUMN: MESSAGE (PATH)`."""
        place = f" ({self.path})" if self.path else ""
        return f"{self.at.file}:{self.at.line}:{self.at.column}: {self.message}{place}"


class Report:
    """Gathers diagnostics; the same statement about the same place counts once."""

    __slots__ = ("_found",)

    def __init__(self, found: Iterable[Diagnostic] = ()) -> None:
        self._found: dict[Diagnostic, None] = dict.fromkeys(found)

    def error(self, message: str, at: Origin, path: str = "") -> None:
        """Adds an error."""
        self._found.setdefault(Diagnostic("error", message, path, at))

    def warning(self, message: str, at: Origin, path: str = "") -> None:
        """Adds a warning."""
        self._found.setdefault(Diagnostic("warning", message, path, at))

    def extend(self, found: Iterable[Diagnostic]) -> None:
        """Adds what another report found."""
        for diagnostic in found:
            self._found.setdefault(diagnostic)

    @property
    def has_errors(self) -> bool:
        """Whether any is an error."""
        return any(diagnostic.severity == "error" for diagnostic in self._found)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._found)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All of them in the order of file, line and column."""
        return tuple(sorted(self._found, key=lambda one: (one.at.file, one.at.line, one.at.column, one.message)))
