"""Where a model is: its address checked, and the one origin that requests may go to. Sends nothing."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from sophia_cli.core.errors import InvalidEnvironment


def origin_of(base_url: str) -> str:
    """`SCHEME://HOST:PORT` of an address. Raises `InvalidEnvironment` for plain http beyond loopback, or no address."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise _wrong("is not an address") from exc
    if not host or parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise _wrong("is not a plain address (https://HOST[:PORT]/PATH)")
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not is_loopback(host)):
        raise _wrong("must be https (plain http is for loopback only)")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port or (443 if parts.scheme == 'https' else 80)}"


def host_of(base_url: str) -> str:
    """The host, with its port where that is not the usual one: what is shown, audited, and named as a source."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    usual = 443 if parts.scheme == "https" else 80
    return shown if parts.port in (None, usual) else f"{shown}:{parts.port}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _wrong(why: str) -> InvalidEnvironment:
    return InvalidEnvironment(f"ai_infrastructure.model.base_url {why}", hint="only a person edits it, in the file")
