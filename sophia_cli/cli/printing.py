"""Printing: results to stdout, everything else to stderr. Only the command line prints."""

from __future__ import annotations

import re
import sys

from sophia_cli.cli.options import Common, Output
from sophia_cli.core.errors import UsageError


def result(text: str) -> None:
    """Write a command's result to stdout."""
    sys.stdout.write(text)
    sys.stdout.flush()


def said(common: Common, text: str) -> None:
    """Write a result in words; as Markdown it is one code block, which nothing inside can end (CommonMark 4.5)."""
    if common.output is Output.markdown:
        runs = re.findall(r"`+", text)
        fence = "`" * max(3, 1 + max(map(len, runs), default=0))
        text = f"{fence}text\n{text.rstrip()}\n{fence}\n"
    result(text)


def note(common: Common, text: str) -> None:
    """Say something beside the result, on stderr, unless asked to be quiet."""
    if not common.quiet:
        print(text, file=sys.stderr, flush=True)


def only(common: Common, *forms: Output) -> None:
    """Refuse output forms a command does not have."""
    if common.output not in forms:
        listed = ", ".join(form.value for form in forms)
        raise UsageError(f"-o {common.output.value}: this command has {listed}")
