"""Asking a person: prompts on stderr, answers from the terminal. Decides nothing by itself."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator

from sophia_cli.core.errors import Declined, Interrupted
from sophia_cli.output.foreign import escaped


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
    """One line of a conversation, with line editing and history; None at the end of input or on Ctrl-C."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (input() uses it once it is loaded)
    try:
        with _plain_interrupt():
            return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)
        return None
