"""Changes for people: what each one is, what stands before and after it, how risky it is and why. Judges nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sophia_cli.core.certificates import CertificateOrder
from sophia_cli.core.changes import SECRET, Change, ConfigValue, Delegation, EmailMode
from sophia_cli.core.dns import Record
from sophia_cli.core.leaks import shown_value
from sophia_cli.core.secret_versions import SecretVersions
from sophia_cli.core.stacks import Resource
from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette

SIGNS = {"create": "+", "update": "~", "delete": "-", "replace": "!", "import": "<", "refresh": "o", "unknown": "?"}
VALUE_WIDTH = 72
_KINDS = {
    "dns.email_type": "mail mode",
    "dns.nameservers": "name servers",
    "config.value": "environment",
    "stack.config": "stack setting",
    "cert.issue": "issue",
    "cert.renew": "renew",
    "cert.revoke": "revoke",
    "secret.rotate": "secret",
}
_STYLES = {"replace": "delete", "import": "create", "refresh": "update", "unknown": "update"}


def change_lines(change: Change, palette: Palette) -> list[str]:
    """One change: sign, what, before and after, risk and why."""
    sign = palette.paint(_STYLES.get(change.action, change.action), SIGNS[change.action])
    risk = palette.paint(change.risk, change.risk)
    head = f"  {sign} {change.id:<4}{what(change)}"
    tail = f"{risk}  {palette.paint('dim', escaped(change.reason) + _source(change))}"
    details = _details(change, palette)
    return [
        f"{head}  {details[0]}" if details else head,
        *(f"        {line}" for line in details[1:]),
        f"        {tail}",
    ]


def _source(change: Change) -> str:
    source = "" if change.source == "config" else f" [{escaped(change.source)}]"
    return source if change.takes is None else f"{source}; takes the output {escaped(change.takes)}"


def what(change: Change) -> str:
    payload = change.after if change.after is not None else change.before
    if isinstance(payload, Record):
        name = SECRET if "name" in change.hidden else escaped(payload.name)
        return f"{payload.type:<6} {name:<14}"
    if isinstance(payload, Resource):
        return f"{escaped(payload.type)} {escaped(payload.name)}"
    return _KINDS.get(change.kind, change.kind)


def _details(change: Change, palette: Palette) -> list[str]:
    before, after = change.before, change.after
    if isinstance(before, Record) and isinstance(after, Record):
        return _record_update(before, after, change, palette)
    if isinstance(before, Resource) or isinstance(after, Resource):
        return _resource(change, palette)
    sides = [("delete", before), ("create", after)]
    shown = [palette.paint(style, payload_text(side, change)) for style, side in sides if side is not None]
    return [" -> ".join(shown)] if len("".join(shown)) < 2 * VALUE_WIDTH else shown


def _record_update(before: Record, after: Record, change: Change, palette: Palette) -> list[str]:
    parts: list[str] = []
    if before.value != after.value:
        old = palette.paint("delete", _quoted(before))
        new = palette.paint("create", SECRET if "value" in change.hidden else _quoted(after))
        if len(before.value) + len(after.value) > VALUE_WIDTH:
            return [old, f"-> {new}", *_small(before, after)]
        parts.append(f"{old} -> {new}")
    else:
        parts.append(_quoted(after))
    return ["  ".join([*parts, *_small(before, after)])]


def _small(before: Record, after: Record) -> list[str]:
    parts = []
    if before.ttl != after.ttl:
        parts.append(f"ttl {before.ttl} -> {after.ttl}")
    if before.priority != after.priority:
        parts.append(f"priority {before.priority} -> {after.priority} (two writes: the provider ignores one)")
    return parts


def payload_text(payload: object, change: Change) -> str:
    if isinstance(payload, Record):
        value = SECRET if payload is change.after and "value" in change.hidden else value_text(payload)
        return f"{value}  ttl {payload.ttl}"
    if isinstance(payload, EmailMode):
        return payload.email_type
    if isinstance(payload, Delegation):
        return ", ".join(payload.nameservers) or "the provider's own"
    if isinstance(payload, ConfigValue):
        return f"{escaped(payload.path)}: {escaped(json.dumps(payload.value, ensure_ascii=False))}"
    if isinstance(payload, SecretVersions):
        copies = "".join(f", copied to {escaped(name)}" for name in payload.consumers)
        beside = "" if payload.beside is None else f" beside {escaped(payload.beside)}"
        return f"{escaped(payload.current)}{beside}{copies}"
    if isinstance(payload, CertificateOrder):
        ends = "" if payload.not_after is None else f", ends {payload.not_after:%Y-%m-%d}"
        return f"{escaped(', '.join(payload.names))} ({escaped(payload.key_type)}{ends})"
    if isinstance(payload, Resource):
        return "; ".join(f"{escaped(path)}: {_json(value)}" for path, value in payload.properties.items())
    return ""


def _resource(change: Change, palette: Palette) -> list[str]:
    """A resource: what forces its replacement, then each property before and after."""
    before, after = (_properties(side) for side in (change.before, change.after))
    sides = [side for side in (change.after, change.before) if isinstance(side, Resource)]
    flags = [word for word, given in (("protected", sides[0].protect), ("holds data", sides[0].stateful)) if given]
    forced = sorted({path for side in sides for path in side.replaces})
    flags += [f"replaced because of {', '.join(escaped(path) for path in forced)}"] if forced else []
    lines = [", ".join([change.action, *flags])]
    if change.action in ("update", "replace", "refresh", "unknown"):
        for path in sorted({*before, *after}):
            old = palette.paint("delete", _json(before[path])) if path in before else "(none)"
            new = palette.paint("create", _json(after[path])) if path in after else "(none)"
            lines.append(f"{escaped(path)}: {old} -> {new}")
    return lines


def _properties(side: object) -> Mapping[str, object]:
    return side.properties if isinstance(side, Resource) else {}


def _json(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return escaped(shown if len(shown) <= VALUE_WIDTH else shown[: VALUE_WIDTH - 3] + "...")


def value_text(record: Record) -> str:
    priority = f"{record.priority} " if record.priority is not None else ""
    return priority + _quoted(record)


def _quoted(record: Record) -> str:
    shown = escaped(shown_value(record))
    return f'"{shown}"' if record.type == "TXT" else shown
