"""Progress on stderr: a bar on a terminal while a run has several targets or resources, one line a step elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sophia_cli.core.history import AuditEvent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from sophia_cli.core.stack_steps import EngineStep

MANY = 3  # from this many targets on, lines would only scroll by
_STEPS = {"apply.read_back", "apply.verify"}
_PER_TARGET = len(_STEPS)


class Display:
    """Listens to the events of a run. With `bar`, many targets share one bar, and only what went wrong gets a line.

    The steps of a stack's engine are told to it as well: on a terminal what is under way moves below what is done.
    """

    def __init__(self, *, bar: bool) -> None:
        self._may_draw = bar
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._resources: dict[str, TaskID] = {}

    async def __call__(self, event: AuditEvent) -> None:
        """Show one event."""
        from sophia_cli.output.runs import is_good, progress_line

        if event.action == "apply.begin" and self._may_draw and len(event.detail.get("targets", ())) >= MANY:
            self._start(len(event.detail["targets"]) * _PER_TARGET)
        line = progress_line(event)
        if self._bar is None:
            if line is not None:
                print(line, file=sys.stderr, flush=True)
            return
        if self._task is not None and line is not None:
            self._bar.update(self._task, advance=float(event.action in _STEPS), description=line)
        if line is not None and not is_good(event):
            self._bar.console.print(line, markup=False, highlight=False)
        if event.action == "apply.end":
            self.close()

    def step(self, step: EngineStep) -> None:
        """Show one step of a stack's engine: begun, done or failed; what stays the same is not worth a line."""
        if step.op == "same":
            return
        from sophia_cli.output.runs import step_line

        line = step_line(step)
        if not self._may_draw:
            if step.phase != "begin":
                print(line, file=sys.stderr, flush=True)
            return
        bar = self._bar or self._engine()
        if step.phase == "begin":
            self._resources.setdefault(step.urn, bar.add_task(line, total=None))
            return
        task = self._resources.pop(step.urn, None)
        if task is not None:
            bar.remove_task(task)
        bar.console.print(line, markup=False, highlight=False)
        if not self._resources and self._task is None:
            self.close()

    def _engine(self) -> Progress:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar

    def _start(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        text = TextColumn("{task.description}", markup=False)
        self._bar = Progress(*columns, text, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def close(self) -> None:
        """Take the bar away; what comes next stands where it stood."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
            self._resources.clear()
