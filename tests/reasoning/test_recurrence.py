"""Recurrence: what sophia does not begin by itself is refused with the line that does it."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import pytest

from sophia_cli.reasoning.intents import ScaleService
from sophia_cli.reasoning.recurrence import why_not

ONE, FIVE = datetime(2026, 11, 19, 0, 0, tzinfo=UTC), datetime(2026, 11, 19, 4, 30, tzinfo=UTC)


def hint(intent: ScaleService, zone: str = "Europe/Berlin", file: str | None = "/srv/acme.yaml") -> str:
    return why_not(intent, zone, file)[1]


def test_a_night_without_an_hour_leaves_the_hour_open_and_warns_of_steps_without_an_end() -> None:
    told = hint(ScaleService("web", "down", every="night"))
    assert "0 H * * * sophia stack scale --down web -e /srv/acme.yaml --yes" in told
    assert "H is the hour you mean" in told
    assert "add --for" in told


def test_a_recurring_span_becomes_a_line_at_its_wall_time_with_its_length() -> None:
    told = hint(ScaleService("web", "up", start=ONE, end=FIVE, every="weekday"))
    assert "0 1 * * 1-5 sophia stack scale --up web --for 270m" in told
    assert "CRON_TZ=Europe/Berlin" in told
    assert "add --for" not in told


def test_a_percentage_is_escaped_because_cron_ends_a_command_there() -> None:
    assert r"--by 50\% " in hint(ScaleService("web", "up", percent=50, every="friday"))


def test_a_span_that_begins_later_becomes_one_line_of_at_that_the_shell_takes_apart() -> None:
    told = hint(ScaleService("web", "up", start=ONE, end=FIVE), file="/srv/a b.yaml")
    line = told.removeprefix("let at begin it: ")
    words = shlex.split(line)
    assert words[0] == "echo"
    assert words[2:] == ["|", "TZ=UTC", "at", "-t", "202611190000"]
    assert shlex.split(words[1])[-3:] == ["-e", "/srv/a b.yaml", "--yes"]


@pytest.mark.parametrize(
    ("every", "fields"),
    [
        ("monday", "0 H * * 1"),
        ("sun", "0 H * * 0"),
        ("weekend", "0 H * * 6"),
        ("month", "0 H 1 * *"),
        ("hour", "0 * * * *"),
    ],
)
def test_each_rhythm_has_its_fields(every: str, fields: str) -> None:
    assert f"crontab: {fields} sophia" in hint(ScaleService("web", "to", to=3, every=every))


def test_a_rhythm_that_cron_lacks_is_said_to_be_one() -> None:
    assert "cron has no field for every other-week" in hint(ScaleService("web", "up", every="other-week"))
