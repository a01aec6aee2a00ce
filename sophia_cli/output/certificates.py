"""Certificates for people and scripts: one entry each, its versions beneath. Shows no key and no path of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sophia_cli.core.certificates import Installed, Listed, certificate_target
from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette, counted

_CLOSE_DAYS = 7


def data(found: Sequence[Listed], now: datetime) -> dict[str, Any]:
    """The public shape (`sophia.certs/1`)."""
    return {"certificates": [_entry(one, now) for one in found]}


def _entry(one: Listed, now: datetime) -> dict[str, Any]:
    return {
        "target": certificate_target(one.name),
        "wanted": one.wanted.data(),
        "installed": None if one.installed is None else _installed(one.installed, now),
        "renew_at": None if one.renew_at is None else one.renew_at.isoformat().replace("+00:00", "Z"),
        "reason": one.reason,
        "kept_by": None if one.kept_by is None else one.kept_by.data(),
        "pending": None if one.pending is None else one.pending.order.data(),
        "versions": [_installed(version, now) for version in one.versions],
    }


def _installed(installed: Installed, now: datetime) -> dict[str, Any]:
    left = (installed.not_after - now).total_seconds() / 86400
    return {**installed.data(), "days_left": round(left, 1)}


def text(found: Sequence[Listed], now: datetime, *, colour: bool = False, verbose: bool = False) -> str:
    """One block a certificate."""
    palette = Palette(colour)
    if not found:
        return "The environment asks for no certificate: name domains in its ssl section.\n"
    return "\n".join(line for one in found for line in _lines(one, now, palette, verbose)) + "\n"


def _lines(one: Listed, now: datetime, palette: Palette, verbose: bool) -> list[str]:
    lines = [palette.paint("bold", escaped(certificate_target(one.name))), f"  names    {', '.join(one.wanted.names)}"]
    there = one.installed
    if one.kept_by is not None:
        until = f"{one.kept_by.not_after:%Y-%m-%d %H:%M} UTC"
        lines.append(f"  kept by  {escaped(one.kept_by.host)}, serial {escaped(one.kept_by.serial)}, until {until}")
    if there is None:
        lines += [] if one.kept_by is not None else ["  there is none yet; run: sophia cert issue"]
    else:
        days = (there.not_after - now).days
        left = palette.paint("red" if days < _CLOSE_DAYS else "green", counted(days, "day") + " left")
        state = palette.paint("red", "revoked, ") if there.revoked else ""
        lines += [
            f"  until    {there.not_after:%Y-%m-%d %H:%M} UTC, {state}{left}",
            f"  issuer   {escaped(there.issuer)}",
            f"  key      {there.key_type}, serial {there.serial}",
        ]
        when = "now" if one.renew_at is not None and one.renew_at <= now else f"{one.renew_at:%Y-%m-%d %H:%M} UTC"
        lines.append(f"  renewal  {when if one.renew_at else 'not planned'}: {escaped(one.reason)}")
    if one.pending is not None:
        what = "is finished" if one.pending.installed else "is under way"
        lines.append(f"  an order of {one.pending.started:%Y-%m-%d %H:%M} UTC {what}; run: sophia cert issue")
    if verbose:
        lines += [
            f"  kept     {version.version}  {version.serial}  until {version.not_after:%Y-%m-%d}"
            for version in one.versions
        ]
    return lines
