"""Printing: results to stdout, everything else to stderr. Only the command line prints."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from sophia_cli.cli.options import Common, Output
from sophia_cli.core.errors import UsageError


def result(text: str) -> None:
    """Write a command's result to stdout. A reader that went away, or a full disk, never changes what was done."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as exc:
        if not isinstance(exc, BrokenPipeError):
            print(f"the result could not be written to stdout: {exc.strerror}", file=sys.stderr)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (so that the interpreter's last flush is quiet too)


def said(common: Common, text: str) -> None:
    """Write a result in words; as Markdown it is one code block, which nothing inside can end (CommonMark 4.5)."""
    if common.output is Output.markdown:
        runs = re.findall(r"`+", text)
        fence = "`" * max(3, 1 + max(map(len, runs), default=0))
        text = f"{fence}text\n{text.rstrip()}\n{fence}\n"
    result(text)


def note(common: Common, text: str) -> None:
    """Say something beside the result, on stderr, unless asked to be quiet."""
    if not common.is_quiet:
        print(text, file=sys.stderr, flush=True)


def wants_colour(common: Common, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stdout is a terminal that should get colours (NO_COLOR, CLICOLOR_FORCE)."""
    if common.no_color or environ.get("NO_COLOR"):
        return False
    return environ.get("CLICOLOR_FORCE", "0") != "0" or (sys.stdout.isatty() and environ.get("TERM") != "dumb")


def only(common: Common, *forms: Output) -> None:
    """Refuse output forms a command does not have."""
    if common.output not in forms:
        listed = ", ".join(form.value for form in forms)
        raise UsageError(f"-o {common.output.value}: this command has {listed}")
