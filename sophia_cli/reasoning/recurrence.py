"""Recurrence: the cron or at line for what is to begin later or to repeat, because sophia has no process that waits."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sophia_cli.reasoning.intents import ScaleService

# The day fields of crontab(5): day of month, month, day of week.
_DAYS = {
    **{"day": "* * *", "night": "* * *", "morning": "* * *", "evening": "* * *", "weekday": "* * 1-5"},
    **{"weekend": "* * 6", "week": "* * 1", "month": "1 * *"},
    **{day: f"* * {number}" for number, day in enumerate(("sunday", "monday", "tuesday", "wednesday"))},
    **{"thursday": "* * 4", "friday": "* * 5", "saturday": "* * 6"},
}
_SHORT = {"sun": "sunday", "mon": "monday", "tue": "tuesday", "wed": "wednesday", "thu": "thursday", "fri": "friday"}


def why_not(intent: ScaleService, zone: str, file: str | None = None) -> tuple[str, str]:
    """Why sophia does not do it by itself, and the line that does it; the hour is never guessed.

    `file` is the environment's, because cron starts elsewhere.
    """
    why = (
        "sophia runs only when it is called: it ends what it began (sophia heal), but it begins nothing later by itself"
    )
    if intent.every is None:
        return why, _once(intent, file)
    fields = _fields(intent.every, intent.start, zone)
    if fields is None:
        return why, f"cron has no field for every {intent.every}; call this when it is due: {_line(intent, file)}"
    # crontab(5): an unescaped percent sign ends the command.
    escaped = _line(intent, file).replace("%", "\\%")
    hint = f"put this into crontab: {fields} {escaped}"
    if " H " in fields:
        hint += "; H is the hour you mean, the sentence names none"
    if intent.end is None and intent.direction != "to":
        hint += "; without an end each time goes one step further, so add --for with a length such as 8h"
    return why, f"{hint}; cron's clock must be {zone} (CRON_TZ={zone})"


def _once(intent: ScaleService, file: str | None) -> str:
    """One line of at(1), which takes a time to the minute; UTC, so that the machine's own zone does not matter."""
    assert intent.start is not None
    begin = intent.start.astimezone(UTC)
    return f"let at begin it: echo {shlex.quote(_line(intent, file))} | TZ=UTC at -t {begin:%Y%m%d%H%M}"


def _fields(every: str, start: datetime | None, zone: str) -> str | None:
    if every == "hour":
        return "0 * * * *"
    days = _DAYS.get(_SHORT.get(every[:3], every) if len(every) < 6 and every not in _DAYS else every)
    if days is None:
        return None
    if start is None:
        return f"0 H {days}"
    here = start.astimezone(ZoneInfo(zone))
    return f"{here.minute} {here.hour} {days}"


def _line(intent: ScaleService, file: str | None) -> str:
    """The command itself: with a length instead of its end, because each time has an end of its own."""
    lasting = intent.every is not None and intent.start is not None and intent.end is not None
    words = replace(intent, start=None, end=None if lasting else intent.end, every=None).command()
    if lasting and intent.end is not None and intent.start is not None:
        words += f" --for {int((intent.end - intent.start).total_seconds() // 60)}m"
    where = "" if file is None else f" -e {shlex.quote(file)}"
    return f"{words}{where} --yes"
