"""Asking a person: prompts on stderr, answers from the terminal. Decides nothing by itself."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sophia_cli.core.errors import Declined, Interrupted
from sophia_cli.output.foreign import escaped

FIRST_BYTE_S = 2.0  # how long an empty pipe is waited for


@contextlib.contextmanager
def _plain_interrupt() -> Iterator[None]:
    """Let Ctrl-C break a prompt: the event loop's own handler would only be heard after the answer."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def line(prompt: str) -> str:
    """One line typed by a person. Raises `Interrupted` on Ctrl-C and `Declined` at the end of input."""
    print(prompt, end="", file=sys.stderr, flush=True)
    try:
        with _plain_interrupt():
            text = sys.stdin.readline()
    except KeyboardInterrupt as exc:
        print(file=sys.stderr)
        raise Interrupted("interrupted; nothing was changed") from exc
    if not text:
        raise Declined("no answer; nothing was changed", hint="answer at the prompt, or add --yes")
    return text.strip()


def choice(question: str, options: dict[str, str]) -> str:
    """One of some answers, by the whole word or its letter in brackets; asked again until one is given.

    The letters are the first of each word that no word before it has.
    """
    letters: dict[str, str] = {}
    for word in options:
        letters[next(letter for letter in word if letter not in letters)] = word
    listed = " / ".join(word.replace(letter, f"[{letter}]", 1) for letter, word in letters.items())
    while True:
        answer = line(f"{question} {listed} ").lower()
        if answer in options or answer in letters:
            return letters.get(answer, answer)
        print("\n".join(f"  {word}: {meaning}" for word, meaning in options.items()), file=sys.stderr)


def typed_name(name: str, why: Iterable[str]) -> bool:
    """Whether a person typed the zone's name."""
    for reason in why:
        print(f"  {escaped(reason)}", file=sys.stderr)
    return line(f"This is critical. Type {name} to go on: ") == name


def chat_line(prompt: str) -> str | None:
    """One line of a conversation; None at the end of input or on Ctrl-C.

    On a terminal with line editing and the history of this conversation, which is kept in memory only: what is typed may
    be a secret. Where stdout is no terminal the prompt goes to stderr, because stdout carries results alone.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (input() uses it once it is loaded)
    try:
        with _plain_interrupt():
            if sys.stdout.isatty():
                return input(prompt).strip()
            print(prompt, end="", file=sys.stderr, flush=True)
            text = sys.stdin.readline()
            return text.strip() if text else None
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        return None


@dataclass(frozen=True, slots=True)
class Piped:
    """Text that was piped in beside a command; `cut` when only its beginning was read."""

    text: str
    cut: bool


def piped(most: int) -> Piped | None:
    """What stands on stdin when that is a pipe or a file, at most so many bytes; None when nothing is there.

    A pipe that somebody holds open and says nothing on is left alone after a moment.
    """
    try:
        number = sys.stdin.fileno()
        mode = os.fstat(number).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    if stat.S_ISFIFO(mode):
        if not select.select([number], [], [], FIRST_BYTE_S)[0]:
            print("nothing came on stdin; the question is answered without it", file=sys.stderr)
            return None
    elif not stat.S_ISREG(mode):
        return None
    data = sys.stdin.buffer.read(most + 1)
    return Piped(data[:most].decode("utf-8", "replace"), len(data) > most) if data else None
