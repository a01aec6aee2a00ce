"""Who acts and from where, for the audit log: read from the process environment."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping


def actor() -> str:
    """Who acts, for the audit log: `user@host`, or the CI's actor."""
    user = os.environ.get("GITHUB_ACTOR")
    if user is None:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def origin(environ: Mapping[str, str]) -> dict[str, str]:
    """Where this process was started from, for the audit log: the address of an ssh login, the run of a CI job."""
    found: dict[str, str] = {}
    address = environ.get("SSH_CONNECTION", "").partition(" ")[0]
    if re.fullmatch(r"[0-9A-Fa-f:.]{2,45}", address):
        found["address"] = address
    repository, run = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    if re.fullmatch(r"[\w.-]{1,100}/[\w.-]{1,100}", repository) and run.isascii() and run.isdigit():
        found["ci"] = f"{repository}#{run}"
    return found
