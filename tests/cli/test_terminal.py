"""A real terminal: the coloured diff, apply / skip / show / quit, the typed name, and the chat."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from tests.cli.harness import DOMAIN, ROWS, Shop

BEFORE = {row[:3] for row in ROWS}
MOVED = "{type: A, value: 203.0.113.99, name: api}"


@contextmanager
def terminal(acme: Shop, *words: str) -> Iterator[pexpect.spawn]:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "sophia_cli", *words, "-e", str(acme.file), "--wait", "0"],
        cwd=str(acme.folder),
        env={**os.environ, "TERM": "xterm-256color"},
        encoding="utf-8",
        timeout=20,
        dimensions=(40, 120),
    )
    try:
        yield child
    finally:
        child.close(force=True)


def ended(child: pexpect.spawn) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus or 0)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_apply_writes_after_a_coloured_diff(acme: Shop) -> None:
    acme.environment(MOVED)
    with terminal(acme, "deploy") as child:
        child.expect(r"\[a\]pply")
        assert "\x1b[32m203.0.113.99" in child.before
        assert "203.0.113.10 -> 203.0.113.99" in plain(child.before)
        child.sendline("a")
        assert ended(child) == 0
    assert ("api", "A", "203.0.113.99") in acme.rows()


@pytest.mark.parametrize("answer", ["q", "s", "quit", "skip"])
def test_quit_and_skip_leave_everything_as_it_is(acme: Shop, answer: str) -> None:
    acme.environment(MOVED)
    with terminal(acme, "deploy") as child:
        child.expect(r"\[q\]uit")
        child.sendline(answer)
        assert ended(child) == 3
    assert acme.rows() == BEFORE


def test_show_shows_all_and_asks_again(acme: Shop) -> None:
    acme.environment(MOVED)
    with terminal(acme, "deploy") as child:
        child.expect(r"\[q\]uit")
        child.sendline("h")
        child.expect(r"\[q\]uit")
        assert "google-site-verification" in child.before
        child.sendline("q")
        assert ended(child) == 3


def test_a_critical_plan_wants_the_zones_name_typed(acme: Shop) -> None:
    acme.environment('{type: A, value: 203.0.113.99, name: "@"}')
    with terminal(acme, "deploy") as child:
        child.expect(r"\[q\]uit")
        child.sendline("apply")
        child.expect(f"Type {DOMAIN}")
        child.sendline("yes")
        assert ended(child) == 3
    assert acme.rows() == BEFORE
    with terminal(acme, "deploy") as child:
        child.expect(r"\[q\]uit")
        child.sendline("apply")
        child.expect(f"Type {DOMAIN}")
        child.sendline(DOMAIN)
        assert ended(child) == 0
    assert ("@", "A", "203.0.113.99") in acme.rows()


def test_ctrl_c_and_end_of_input_at_the_prompt_change_nothing(acme: Shop) -> None:
    acme.environment(MOVED)
    with terminal(acme, "deploy") as child:
        child.expect(r"\[q\]uit")
        child.sendintr()
        assert ended(child) == 130
    with terminal(acme, "deploy") as child:
        child.expect(r"\[q\]uit")
        child.sendeof()
        assert ended(child) == 3
    assert acme.rows() == BEFORE


def test_no_input_never_asks_even_on_a_terminal(acme: Shop) -> None:
    acme.environment(MOVED)
    with terminal(acme, "deploy", "--no-input") as child:
        assert ended(child) == 3


def test_approve_at_a_terminal_counts(acme: Shop) -> None:
    acme.environment('{type: A, value: 203.0.113.99, name: "@"}')
    acme.run("plan", "--out", "plan.json")
    with terminal(acme, "approve", "plan.json") as child:
        child.expect(f"Type {DOMAIN}")
        child.sendline(DOMAIN)
        assert ended(child) == 0
    assert acme.run("deploy", "plan.json").code == 0
    assert ("@", "A", "203.0.113.99") in acme.rows()


def test_foreign_text_is_shown_and_not_obeyed_by_the_terminal(acme: Shop) -> None:
    acme.sandbox.edit(DOMAIN, add=[{"name": "evil", "type": "TXT", "address": "\x9b2Jgone \u202e now"}])
    acme.environment(MOVED)
    with terminal(acme, "plan", "-v") as child:
        child.expect(pexpect.EOF)
        assert "\x9b" not in child.before
        assert "\\x9b2Jgone \\u202e now" in child.before
        assert "\u202e" not in child.before


def test_the_chat_keeps_context_and_applies_only_on_demand(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.10, name: api}")
    with terminal(acme, "ask") as child:
        child.expect("> ")
        child.sendline("point api at 203.0.113.99")
        child.expect("Policy:")
        assert acme.rows() == BEFORE
        child.expect("> ")
        child.sendline("/apply")
        child.expect(r"\[q\]uit")
        child.sendline("apply")
        child.expect("applied")
        child.expect("> ")
        child.sendline("/quit")
        assert ended(child) == 0
    assert ("api", "A", "203.0.113.99") in acme.rows()
