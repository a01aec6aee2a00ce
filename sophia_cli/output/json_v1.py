"""The JSON envelopes of version 1: public shapes that scripts rely on. They may grow, never change meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sophia_cli.output.foreign import escaped

if TYPE_CHECKING:
    from sophia_cli.core.errors import SophiaError
    from sophia_cli.core.plan import Plan
    from sophia_cli.core.policy import Verdict


def envelope(name: str, data: Any) -> str:
    """One JSON document: `{"schema": "sophia.NAME/1", "data": ...}`, indented, in the order the shape lists its keys."""
    return _quiet(json.dumps({"schema": f"sophia.{name}/1", "data": data}, indent=2, ensure_ascii=False)) + "\n"


def line(name: str, data: Any) -> str:
    """The same on one line: for commands that print one document a line."""
    return _quiet(json.dumps({"schema": f"sophia.{name}/1", "data": data}, ensure_ascii=False)) + "\n"


def _quiet(text: str) -> str:
    """The JSON with characters that steer a terminal (C1, DEL, bidirectional) as escapes, which changes no value."""
    loud = {ord(one): _escape(one) for one in set(text) if one >= "\x7f" and escaped(one) != one}
    return text.translate(loud) if loud else text


def _escape(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def plan_data(plan: Plan, verdict: Verdict) -> dict[str, Any]:
    """`sophia.plan/1`."""
    data = plan.data()
    summary = data.pop("summary")
    return {**data, "verdict": verdict.data(), "summary": summary, "notes": list(plan.notes)}


def error_data(error: SophiaError) -> dict[str, Any]:
    """`sophia.error/1`."""
    return {
        "code": error.exit_code,
        "kind": error.kind,
        "message": error.message,
        "hint": error.hint,
        "details": dict(error.details),
    }


def audit_data(events: Sequence[Mapping[str, Any]], count: int, head: str, problems: tuple[str, ...]) -> dict[str, Any]:
    """`sophia.audit/1`."""
    return {
        "events": list(events),
        "head": {"count": count, "hash": head},
        "ok": not problems,
        "problems": list(problems),
    }
