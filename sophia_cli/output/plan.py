"""Plans for people: what would change, what stays, and what policy says of it, as text, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterable

from sophia_cli.core.changes import Change
from sophia_cli.core.findings import Proposal
from sophia_cli.core.leaks import shown_value
from sophia_cli.core.plan import Plan
from sophia_cli.core.policy import Verdict
from sophia_cli.output.changes import SIGNS, change_lines, payload_text, value_text, what
from sophia_cli.output.foreign import escaped, html_escaped, markdown_escaped
from sophia_cli.output.style import Palette


def text(plan: Plan, verdict: Verdict, *, colour: bool = False, verbose: bool = False) -> str:
    """The plan as a diff a person reads before saying yes."""
    palette = Palette(colour)
    lines: list[str] = []
    for target in _targets(plan):
        lines += _target_lines(plan, target, palette, verbose=verbose)
    lines += [escaped(note) for note in plan.notes]
    lines += proposal_lines(plan.proposals, palette)
    lines.append(summary_line(plan, palette))
    lines += verdict_lines(plan, verdict, palette)
    return "\n".join(lines) + "\n"


def _targets(plan: Plan) -> list[str]:
    return list(dict.fromkeys([*plan.touched(), *(target.id for target in plan.targets)]))


def _target_lines(plan: Plan, target: str, palette: Palette, *, verbose: bool) -> list[str]:
    changes = plan.of(target)
    kept = [kept for kept in plan.kept if kept.target == target]
    if not changes and not kept and not verbose:
        return [f"{palette.paint('bold', escaped(target))}  nothing to change", ""]
    lines = [palette.paint("bold", escaped(target))]
    for change in changes:
        lines += change_lines(change, palette)
    shown = kept if verbose else kept[:6]
    for one in shown:
        why = escaped(one.why)
        lines.append(
            palette.paint(
                "dim",
                f"  = {'':<4}{one.record.type:<6} {escaped(one.record.name):<14} {value_text(one.record)}  ({why})",
            )
        )
    if len(kept) > len(shown):
        lines.append(palette.paint("dim", f"  = {len(kept) - len(shown)} more kept; -v shows them"))
    return [*lines, ""]


def summary_line(plan: Plan, palette: Palette) -> str:
    """Counts, and the digest an approval binds to."""
    counts = plan.summary()
    parts = [
        f"{counts['create']} to create",
        f"{counts['update']} to update",
        f"{counts['delete']} to delete",
        *(
            f"{counts[action]} to {action}"
            for action in ("replace", "import", "refresh", "unknown")
            if action in counts
        ),
        f"{counts['unchanged']} unchanged",
        f"{counts['kept']} kept",
    ]
    return f"{', '.join(parts)}.  {palette.paint('dim', 'plan ' + plan.digest[:19])}"


def verdict_lines(plan: Plan, verdict: Verdict, palette: Palette) -> list[str]:
    """What policy says, with every reason and what it needs."""
    if plan.is_empty():
        return (
            []
            if plan.proposals
            else [palette.paint("green", "Nothing to do: the targets are what the environment says.")]
        )
    styles = {"allow": "green", "ask": "yellow", "deny": "red"}
    said = {"allow": "allowed", "ask": "wants a person", "deny": "refused"}[verdict.decision]
    lines = [f"Policy: {palette.paint(styles[verdict.decision], said)}"]
    for reason in verdict.reasons:
        needs = {"yes": "a yes", "name": "the zone's name", "approval": "a recorded approval", None: "refused"}
        lines.append(f"  {escaped(reason.rule)}: {escaped(reason.message)}  ({needs[reason.needs]})")
        if reason.hint:
            lines.append(palette.paint("dim", f"    {escaped(reason.hint)}"))
    if verdict.approved is not None:
        approval = verdict.approved
        lines.append(f"  approved by {escaped(approval.by)} ({approval.how}) until {approval.until:%Y-%m-%d %H:%M} UTC")
    return lines


def proposal_lines(proposals: Iterable[Proposal], palette: Palette) -> list[str]:
    """The specialists' proposals, each with its changes, reason, source and confidence."""
    lines: list[str] = []
    for proposal in proposals:
        answers = f", answers {escaped(proposal.finding)}" if proposal.finding else ""
        source = f"[{escaped(proposal.source)}, confidence {proposal.confidence}{answers}]"
        lines.append(
            f"{palette.paint('magenta', proposal.id)}  {escaped(proposal.reason)}  {palette.paint('dim', source)}"
        )
        for change in proposal.changes:
            lines += change_lines(change, palette)
    if lines:
        lines = ["Proposals, outside this plan until accepted (--accept ID):", *lines, ""]
    return lines


# -- Markdown and HTML --------------------------------------------------------------------------------------------------


def markdown(plan: Plan, verdict: Verdict) -> str:
    """The plan for a pull request or a step summary; every foreign value is escaped."""
    counts = plan.summary()
    lines = [
        f"### sophia plan: {markdown_escaped(plan.environment)}",
        "",
        f"**{counts['create']}** to create, **{counts['update']}** to update, **{counts['delete']}** to delete, "
        f"{counts['unchanged']} unchanged, {counts['kept']} kept. Policy: **{verdict.decision}**.",
        "",
    ]
    if plan.changes:
        lines += ["| | target | record | before | after | risk | why |", "|---|---|---|---|---|---|---|"]
        lines += [_markdown_row(change) for change in plan.changes]
        lines.append("")
    for reason in verdict.reasons:
        lines.append(f"- `{reason.rule}`: {markdown_escaped(reason.message)} (needs: {reason.needs or 'refused'})")
    if plan.kept:
        lines += ["", f"<details><summary>{len(plan.kept)} kept</summary>", ""]
        lines += [
            f"- {kept.record.type} {markdown_escaped(kept.record.name)} {markdown_escaped(shown_value(kept.record))}: "
            f"{markdown_escaped(kept.why)}"
            for kept in plan.kept
        ]
        lines += ["", "</details>"]
    if plan.proposals:
        lines += ["", "Proposals (outside the plan):", ""]
        lines += [
            f"- `{proposal.id}` {markdown_escaped(proposal.reason)} ({markdown_escaped(proposal.source)}, "
            f"confidence {proposal.confidence})"
            for proposal in plan.proposals
        ]
    lines += ["", f"<sub>{plan.digest}</sub>"]
    return "\n".join(lines) + "\n"


def _markdown_row(change: Change) -> str:
    cells = [
        SIGNS[change.action],
        markdown_escaped(change.target),
        markdown_escaped(" ".join(what(change).split())),
        markdown_escaped(payload_text(change.before, change)),
        markdown_escaped(payload_text(change.after, change)),
        change.risk,
        markdown_escaped(change.reason),
    ]
    return "| " + " | ".join(cells) + " |"


def html(plan: Plan, verdict: Verdict) -> str:
    """The plan as one self-contained page without scripts."""
    rows = "".join(
        "<tr class='{}'><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>".format(
            change.action,
            SIGNS[change.action],
            *(
                html_escaped(cell)
                for cell in (
                    change.target,
                    what(change),
                    payload_text(change.before, change),
                    payload_text(change.after, change),
                    change.risk,
                    change.reason,
                )
            ),
        )
        for change in plan.changes
    )
    reasons = "".join(
        f"<li><code>{html_escaped(reason.rule)}</code> {html_escaped(reason.message)}</li>"
        for reason in verdict.reasons
    )
    kept = "".join(
        f"<li>{html_escaped(f'{kept.record.type} {kept.record.name} {shown_value(kept.record)}')}: {html_escaped(kept.why)}</li>"
        for kept in plan.kept
    )
    counts = ", ".join(f"{value} {key}" for key, value in plan.summary().items())
    return _PAGE.format(
        environment=html_escaped(plan.environment),
        counts=counts,
        decision=verdict.decision,
        reasons=reasons,
        rows=rows,
        kept=kept,
        digest=plan.digest,
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>sophia plan: {environment}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1d2330 }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .35rem .6rem; border-bottom: 1px solid #dde1ea; text-align: left; word-break: break-word }}
.create td:first-child {{ color: #14783c }} .update td:first-child {{ color: #9a6200 }}
.delete td:first-child {{ color: #b3261e }}
code {{ background: #f1f3f8; padding: 0 .3em }}
</style></head><body>
<h1>{environment}</h1>
<p>{counts}. Policy: <strong>{decision}</strong></p><ul>{reasons}</ul>
<table><tr><th></th><th>target</th><th>what</th><th>before</th><th>after</th><th>risk</th><th>why</th></tr>{rows}</table>
<h2>Kept</h2><ul>{kept}</ul><p><small>{digest}</small></p>
</body></html>
"""
