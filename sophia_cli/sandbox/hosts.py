"""What setHosts does to a zone: full replacement (Namecheap API). Pure; refuses or replaces, never half."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sophia_cli.sandbox.account import EMAIL_TYPES, Domain, Refusal, Row, Switches, ordered, parking
from sophia_cli.sandbox.envelope import NOT_XML

TYPES = ("A", "AAAA", "ALIAS", "CAA", "CNAME", "MX", "MXE", "NS", "TXT", "URL", "URL301", "FRAME")
DOTTED = frozenset({"CNAME", "ALIAS", "NS", "MX"})
REDIRECTS = frozenset({"URL", "URL301", "FRAME"})
MAX_ROWS, MAX_NAME, MAX_VALUE, MAX_TXT = 150, 60, 255, 2500

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"(?:\*|{_LABEL})(?:\.{_LABEL})*\Z")
_TARGET = re.compile(r"[A-Za-z0-9_*](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?\Z")
_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://\S+\Z", re.I)
_CAA = re.compile(r'(\d{1,3})\s+([A-Za-z0-9]+)\s+(?:"([^"]*)"|([^"\s]+))\Z')
_BARE_URL = re.compile(r"https?://[^/?#]+\Z", re.I)
_NULL_REFERENCE = "Object reference not set to an instance of an object."


@dataclass(frozen=True, slots=True)
class SentRow:
    """One numbered row of a request, as sent."""

    name: str
    type: str
    address: str
    mx_pref: str
    ttl: str


def sent_rows(params: Mapping[str, str]) -> tuple[SentRow, ...]:
    """The numbered rows of a request with lower-case names; a gap or a half row is refused, as a malformed call is (5050900)."""
    numbers = {
        int(found.group(1)) for name in params if (found := re.fullmatch(r"(?:hostname|recordtype|address)(\d+)", name))
    }
    if numbers != set(range(1, len(numbers) + 1)):
        raise Refusal(5050900, _NULL_REFERENCE)
    rows = []
    for number in sorted(numbers):
        try:
            name, kind, address = (params[f"{part}{number}"] for part in ("hostname", "recordtype", "address"))
        except KeyError:
            raise Refusal(5050900, _NULL_REFERENCE) from None
        rows.append(SentRow(name, kind, address, params.get(f"mxpref{number}", ""), params.get(f"ttl{number}", "")))
    return tuple(rows)


def set_hosts(
    domain: Domain, sent: Sequence[SentRow], email_type: str | None, switches: Switches, next_id: int, now: float
) -> tuple[Domain, int]:
    """The domain after a setHosts call and the next free row id; raises Refusal and changes nothing when a row is bad."""
    mode = _mail_mode(domain, email_type, switches)
    if len(sent) > MAX_ROWS:
        raise Refusal(switches.number_too_many, "Too many records")
    wanted: dict[tuple[str, str, str], Row] = {}
    for item in sent:
        row = stored(item, domain.name, switches)
        if (row.type == "MX" and mode != "MX") or (row.type == "MXE" and mode != "MXE"):
            continue  # not saved, and nobody is told (recorded)
        wanted.setdefault(row.key, row)
    present = {row.key: row for row in domain.rows}
    rows = []
    for key, row in wanted.items():
        old = present.get(key)
        if old is None or switches.host_ids == "rotate":
            identity, next_id = next_id, next_id + 1
        else:
            identity = old.host_id
        if old is not None:  # the preference is not part of the identity, so a new one is ignored (recorded)
            row = replace(row, mx_pref=old.mx_pref, associated_app=old.associated_app, friendly_name=old.friendly_name)
        rows.append(replace(row, host_id=identity))
    if not rows and switches.empty_set == "repark":
        rows, next_id = list(parking(domain.name, next_id)), next_id + 2
    hidden = domain.hidden if switches.srv == "survives" else ()
    return domain.changed(now, rows=ordered(rows), email_type=mode, hidden=hidden), next_id


def _mail_mode(domain: Domain, email_type: str | None, switches: Switches) -> str:
    if not email_type:
        return domain.email_type if switches.emailtype_omitted == "keep" else "NONE"
    mode = email_type.upper()
    if mode not in EMAIL_TYPES:
        raise Refusal(switches.number_bad_value, f"INVALID_EMAILTYPE : {email_type}")
    return mode


def stored(item: SentRow, domain: str, switches: Switches) -> Row:
    """The row as the server stores it; raises Refusal for what it does not accept."""
    kind = item.type.upper() if switches.type_case == "accept" else item.type
    if kind not in TYPES:
        raise Refusal(switches.number_bad_value, f"INVALID_TYPE : '{item.type}' is not a record type.")
    name = _name(item.name, kind, domain, switches)
    address = _address(item.address, kind, name, switches)
    preference = _number(item.mx_pref, 10, (0, 65535), "MXPref", switches) if kind == "MX" else 10
    return Row(0, name, kind, address, preference, _ttl(item.ttl, switches))


def _name(sent: str, kind: str, domain: str, switches: Switches) -> str:
    name = sent.strip().lower()
    if kind == "MXE" and name in ("@", domain):
        return domain  # recorded: the bare domain (recorded)
    if kind == "NS" and name in ("@", "*"):
        raise Refusal(5050900, "INVALID_NAME: NS record can't be set up for a @ or * host names")
    labels = name.split(".")
    if name != "@" and (not _NAME.match(name) or len(name) > MAX_NAME or any(len(label) > 63 for label in labels)):
        raise Refusal(switches.number_bad_value, f"INVALID_NAME : '{sent}' is not a valid host name.")
    return name


def _address(sent: str, kind: str, name: str, switches: Switches) -> str:
    def refuse(why: str) -> Refusal:
        return Refusal(
            switches.number_bad_value, f"INVALID_ADDR : '{sent[:80]}' {why} {kind} record.(host name: {name})"
        )

    if not sent.strip() or NOT_XML.search(sent) or len(sent) > (MAX_TXT if kind == "TXT" else MAX_VALUE):
        raise refuse("should be a valid value for")
    if kind in ("A", "MXE") and not (_QUAD.match(sent) and _is_ip(sent)):
        raise refuse("should be an IPv4 address for")
    if kind == "AAAA" and not (":" in sent and _is_ip(sent)):
        raise refuse("should be an IPv6 address for")
    if kind in DOTTED:
        if not _TARGET.match(sent) or _is_ip(sent.rstrip(".")):
            raise refuse("should not be an IP/ URL for")
        return sent if sent.endswith(".") else sent + "."
    if kind in REDIRECTS:
        if not _SCHEME.match(sent):
            raise refuse("should be a URL for")
        return _redirect(sent, name, switches)
    if kind == "CAA":
        found = _CAA.match(sent)
        if found is None or int(found[1]) > 255:
            raise refuse("is not valid for")
        value = found[3] if found[3] is not None else found[4]
        if found[2].lower() == "iodef" and not value.startswith(("mailto:", "http://", "https://")):
            raise refuse("needs mailto: or a URL for")
        return f'{found[1]} {found[2]} "{value}"'
    if kind == "TXT" and '"' in sent and switches.txt_quotes != "keep":
        if switches.txt_quotes == "refuse":
            raise refuse("should not hold quotes for")
        return sent.replace('"', "")
    return sent


def _redirect(sent: str, name: str, switches: Switches) -> str:
    if switches.url_rows == "keep" or not _BARE_URL.match(sent):
        return sent
    return sent + ("/" if switches.url_rows == "slash" else f"?from={name}")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ttl(sent: str, switches: Switches) -> int:
    low, high = (60, 60000)
    bounds = (low, high) if switches.ttl_out_of_range == "refuse" else (0, 2**31 - 1)
    ttl = _number(sent, 1800, bounds, "TTL", switches)
    return min(max(ttl, low), high) if switches.ttl_out_of_range == "clamp" else ttl


def _number(sent: str, default: int, bounds: tuple[int, int], what: str, switches: Switches) -> int:
    text = sent.strip()
    if not text:
        return default
    if not re.fullmatch(r"\d{1,10}", text) or not bounds[0] <= int(text) <= bounds[1]:
        raise Refusal(switches.number_bad_value, f"INVALID_{what.upper()} : '{text[:20]}'")
    return int(text)
