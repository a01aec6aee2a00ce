"""Runs, heal passes, audit events and errors for people. Says how things ended and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sophia_cli.core.errors import SophiaError
from sophia_cli.core.history import AuditEvent, AuditHead, Run
from sophia_cli.core.stack_steps import EngineStep
from sophia_cli.core.stacks import name_of, type_of
from sophia_cli.output.foreign import escaped
from sophia_cli.output.style import Palette, counted


def run_text(run: Run, *, colour: bool = False) -> str:
    """How a run ended."""
    palette = Palette(colour)
    styles = {"applied": "green", "nothing": "dim", "refused": "yellow", "rolled_back": "yellow", "partial": "red"}
    shown = {True: "verified from outside", False: "shown wrong from outside", None: "not yet visible from outside"}
    lines = [
        f"Run {run.id}: {palette.paint(styles.get(run.outcome, 'red'), run.outcome.replace('_', ' '))}, "
        f"{shown[run.verified]}; {run.api_calls} API calls, {run.duration_s:.1f} s"
    ]
    for leg in run.legs:
        if leg.message:
            lines.append(f"  {escaped(leg.target)}: {escaped(leg.message)}")
    lines += [f"  {escaped(note)}" for note in run.notes]
    if run.outcome in ("applied", "partial"):
        lines.append(palette.paint("dim", f"  undo: sophia rollback {run.id}"))
    return "\n".join(lines) + "\n"


def head_line(head: AuditHead) -> str:
    """Count and head of the audit log, printed by each run: keep it to hold the log against later."""
    return f"audit: {head.count} events, head {head.hash}"


def audit_text(events: Sequence[AuditEvent], head: AuditHead, problems: Sequence[str], *, colour: bool = False) -> str:
    """The audit log as lines, and whether its chain holds."""
    palette = Palette(colour)
    lines = []
    for event in events:
        parts = [
            f"{event.time:%Y-%m-%d %H:%M:%S}",
            f"{event.seq:>5}",
            escaped(event.actor),
            palette.paint("bold", event.action),
        ]
        parts += [escaped(part) for part in (event.target, event.run, event.outcome) if part]
        lines.append("  ".join(parts))
    lines.append(head_line(head))
    if problems:
        lines += [palette.paint("red", f"the chain does not hold: {escaped(problem)}") for problem in problems]
    else:
        lines.append(palette.paint("green", "the chain holds"))
    return "\n".join(lines) + "\n"


def progress_line(event: AuditEvent) -> str | None:
    """An event of the apply flow as one line of progress; None for what a person need not see."""
    step = (event.action, event.outcome)
    own = _OF_CERTIFICATES.get(step) if (event.target or "").startswith("cert:") else None
    template = own or _PROGRESS.get(step) or _PROGRESS.get((event.action, "*"))
    if template is None:
        return None
    changes = event.detail.get("changes", 0)
    count = len(changes) if isinstance(changes, list) else changes
    said = template.format(
        target=event.target,
        run=event.run,
        outcome=event.outcome,
        changes=counted(count, "change"),
        error=event.detail.get("error"),
        behind=next(iter(event.detail.get("behind") or ()), ""),
        **{key: event.detail.get(key) for key in ("authority", "why", "wish")},
    )
    return escaped(said)


def step_line(step: EngineStep) -> str:
    """One step of a stack's engine: what is done to which resource, and how far it is."""
    state = {"begin": "...", "end": "done", "failed": "FAILED"}.get(step.phase, "unknown kind of event")
    return escaped(f"  {step.op} {step.type or type_of(step.urn)} {name_of(step.urn)}: {state}")


def is_good(event: AuditEvent) -> bool:
    """Whether an event of a run is one of those that all runs have, so that a bar alone may show it."""
    return (event.action, event.outcome) in _GOOD


_GOOD = {("apply.write", None), ("apply.read_back", "as planned"), ("apply.verify", "verified")}
_PROGRESS: Mapping[tuple[str, str | None], str] = {
    ("apply.write", None): "{target}: writing {changes}",
    ("apply.write", "failed"): "{target}: the write failed ({error}); reading back",
    ("apply.read_back", "as planned"): "{target}: read back as planned",
    ("apply.read_back", "as before"): "{target}: read back as before",
    ("apply.read_back", "wrong"): "{target}: read back wrong",
    ("apply.read_back", "failed"): "{target}: cannot be read back ({error}); trying again",
    ("apply.undo", None): "{target}: taking {changes} back",
    ("apply.undo", "as before"): "{target}: is as before",
    ("apply.verify", "verified"): "{target}: verified",
    ("apply.verify", "not yet"): "{target}: its name servers do not show the change yet",
    ("apply.verify", "wrong"): "{target}: its name servers show something else",
    ("cert.shown", "waiting"): "{target}: waiting for {behind}",
    ("cert.shown", "shown"): "{target}: every name server shows the challenge",
    ("settle.begin", None): "settling run {run}, which was interrupted",
    ("settle.end", "*"): "run {run} settled: {outcome}",
    ("verify.later", "verified"): "run {run}: now visible from outside",
}


_OF_CERTIFICATES: Mapping[tuple[str, str | None], str] = {
    ("apply.verify", "not yet"): "{target}: no endpoint was seen to serve it yet",
    ("cert.order", "placed"): "{target}: order placed",
    ("cert.authority", "passed over"): "{target}: {authority} is passed over: {why}",
    ("cert.chain", "not offered"): "{target}: no chain ends at {wish}; the authority's own choice is kept",
    ("cert.dnssec", "not tested"): "{target}: DNSSEC not tested: {why}",
    ("cert.order", "taken up"): "{target}: order of an earlier run taken up",
    ("cert.order", "given up"): "{target}: order given up, its records are gone",
    ("cert.answered", None): "{target}: the authority is looking",
    ("cert.installed", "installed"): "{target}: installed",
    ("cert.hook", "ran"): "{target}: the deploy hook ran",
    ("cert.hook", "failed"): "{target}: the deploy hook failed",
}


def error_text(error: SophiaError, *, colour: bool = False) -> str:
    """What, where, and what next."""
    palette = Palette(colour)
    lines = [f"{palette.paint('red', 'error:')} " + "\n".join(escaped(line) for line in error.message.split("\n"))]
    if error.hint:
        lines.append(f"{palette.paint('cyan', 'next:')} {escaped(error.hint)}")
    return "\n".join(lines) + "\n"


def diagnostic_line(diagnostic: dict[str, object]) -> str:
    """One diagnostic of an environment: file, line and column first, as compilers print them."""
    place = f"{diagnostic.get('file')}:{diagnostic.get('line')}:{diagnostic.get('column')}"
    path = f" [{diagnostic['path']}]" if diagnostic.get("path") else ""
    return escaped(f"{place}: {diagnostic.get('severity')}: {diagnostic.get('message')}{path}")
