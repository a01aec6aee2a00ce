"""Whose lock may be taken away: this user's on this machine, once its process is gone; never one that may be alive."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys

import pytest

from sophia_cli.providers.pulumi.engine import _are_dead

ME = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_of_a_process_of_ours_that_is_gone_holds_nothing(gone: int) -> None:
    assert _are_dead([{"by": ME, "pid": gone, "since": "2026-11-22T12:00:00Z"}])


def test_a_lock_that_may_be_alive_is_left_alone(gone: int) -> None:
    alive = {"by": ME, "pid": os.getpid()}
    elsewhere = {"by": f"{getpass.getuser()}@another-machine", "pid": gone}
    somebody = {"by": f"somebody-else@{socket.gethostname()}", "pid": gone}
    for holders in ([alive], [elsewhere], [somebody], [{"by": ME, "pid": gone}, alive], []):
        assert not _are_dead(holders)
