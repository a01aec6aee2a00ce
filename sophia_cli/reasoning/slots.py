"""Slots: the values an intent may carry, each brought to one form and checked once; does no I/O and asks nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from sophia_cli.core.errors import UsageError

Json = str | int | float | list[str] | None

RECORD_TYPES: Final = (
    *("A", "AAAA", "CNAME", "MX", "TXT", "CAA", "NS", "SRV", "ALIAS", "MXE", "URL", "URL301", "FRAME"),
)
MAIL_MODES: Final = ("MX", "MXE", "FWD", "OX", "GMAIL", "NONE")
# The domain a CA wants to see in CAA (RFC 8659 4.2); the keys are the names sophia knows them by.
AUTHORITIES: Final = {
    "buypass": "buypass.com",
    "digicert": "digicert.com",
    "google": "pki.goog",
    "letsencrypt": "letsencrypt.org",
    "sectigo": "sectigo.com",
    "zerossl": "sectigo.com",
}
# Namecheap takes 60 to 60000 seconds (setHosts).
TTL_RANGE: Final = (60, 60_000)

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_HOSTS = {"CNAME", "MX", "NS", "ALIAS"}


class InvalidSlot(UsageError):
    """A value that an intent cannot carry; the message says which value and why."""


def domain(text: str) -> str:
    """A registered or host name of two labels or more, lower-case A-labels without the last dot; `*.` may lead."""
    name = _ascii(text).rstrip(".")
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or labels[-1].isdigit():
        raise InvalidSlot(f"{text!r} is not a domain name")
    if not all(_LABEL.match(label) for label in (labels[1:] if labels[0] == "*" else labels)):
        raise InvalidSlot(f"{text!r} is not a domain name")
    return name


def record_name(text: str) -> str:
    """A name relative to its zone: `@`, `*`, or labels."""
    name = _ascii(text)
    if name in {"@", "*"}:
        return name
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.match(label) for label in (labels[1:] if labels[0] == "*" else labels)):
        raise InvalidSlot(f"{text!r} is not a record name")
    return name


def record_type(text: str) -> str:
    """One of the record types that Namecheap takes."""
    if text.upper() not in RECORD_TYPES:
        raise InvalidSlot(f"{text!r} is not a record type", hint="one of " + ", ".join(RECORD_TYPES))
    return text.upper()


def record_value(kind: str, value: str) -> str:
    """A value in the form its record type wants: addresses canonical, hosts absolute with a last dot."""
    if kind in {"A", "MXE"}:
        return address(value, 4)
    if kind == "AAAA":
        return address(value, 6)
    if kind in _HOSTS:
        return domain(value) + "."
    if kind in {"URL", "URL301", "FRAME"} and not re.match(r"https?://[^\s/]+", value):
        raise InvalidSlot(f"{value!r} is not a web address")
    if kind == "CAA" and not re.match(r'\d{1,3} [a-z0-9]+ "[^"]*"\Z', value):
        raise InvalidSlot(f"{value!r} is not a CAA value", hint='like 0 issue "letsencrypt.org"')
    if kind == "SRV" and not re.match(r"\d{1,5} \d{1,5} \S+\Z", value):
        raise InvalidSlot(f"{value!r} is not an SRV value", hint="like 5 5060 sip.example.com.")
    if not value or any(ord(sign) < 32 or ord(sign) == 127 for sign in value):
        raise InvalidSlot(f"{value!r} cannot be a record's value")
    return value


def address(text: str, version: int) -> str:
    """An IPv4 or IPv6 address in canonical form."""
    import ipaddress

    try:
        found = ipaddress.ip_address(text)
    except ValueError as exc:
        raise InvalidSlot(f"{text!r} is not an IP address") from exc
    if found.version != version:
        raise InvalidSlot(f"{text!r} is not an IPv{version} address")
    return str(found)


def ttl(seconds: int) -> int:
    """A TTL in seconds."""
    low, high = TTL_RANGE
    if not low <= seconds <= high:
        raise InvalidSlot(f"a TTL of {seconds} s is outside {low} to {high} s")
    return seconds


def whole(number: int, what: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise InvalidSlot(f"{what} {number} is outside {low} to {high}")
    return number


def word(text: str, what: str) -> str:
    """A plain name of a service, an environment, a run or a secret; never a flag."""
    if not re.match(r"[A-Za-z0-9_][A-Za-z0-9_./:+-]{0,127}\Z", text):
        raise InvalidSlot(f"{text!r} is not the name of {what}")
    return text


def choice(text: str, what: str, known: Iterable[str]) -> str:
    """One of a closed list."""
    allowed = sorted(known)
    if text not in allowed:
        raise InvalidSlot(f"{text!r} is not {what}", hint="one of " + ", ".join(allowed))
    return text


def moment(when: datetime) -> datetime:
    """An aware time, in UTC, to the second."""
    if when.tzinfo is None:
        raise InvalidSlot(f"{when.isoformat()} has no time zone")
    return when.astimezone(UTC).replace(microsecond=0)


def stamp(when: datetime) -> str:
    """RFC 3339 in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(when: datetime) -> str:
    """A time as a person reads it."""
    return when.astimezone(UTC).strftime("%a %Y-%m-%d %H:%M UTC")


def span(seconds: int) -> str:
    """A length of time as a person reads it."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" + ("s" if count > 1 else "")
    return str(timedelta(seconds=seconds)) if seconds > 3600 else f"{seconds} seconds"


def _ascii(text: str) -> str:
    """Lower case, and each label that is not ASCII as its A-label (RFC 3490, the codec of the standard library)."""
    name = text.strip().lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise InvalidSlot(f"{text!r} is not a domain name") from exc
