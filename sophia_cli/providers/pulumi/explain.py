"""Failures of the CLI and the engine explained: what happened, and the next command to type. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sophia_cli.core.errors import (
    InvalidEnvironment,
    Locked,
    ProviderRefused,
    Refused,
    SophiaError,
    StateError,
    Unreachable,
)
from sophia_cli.providers.pulumi.events import Diagnostic, Violation
from sophia_cli.providers.pulumi.failures import FAILURES, INSTALL, Failure

MINIMUM = (3, 110, 0)  # the first with `--preview-only` for refresh and destroy, and streamed previews
MESSAGE_LIMIT = 1500
_LOCKED = re.compile(r"currently locked by \d+ lock")
_HOLDER = re.compile(r"created by (\S+?)@(\S+) \(pid (\d+)\) at (\S+)")
_RUNNING = re.compile(r"^\s*Started: (?P<since>.+)\n\s*Requested By: (?P<by>.+)$", re.MULTILINE)
_NOISE = re.compile(r"Logging in using access token|warning: failed to get capabilities|preview failed$")


@dataclass(frozen=True, slots=True)
class Place:
    """What a hint needs to name: the stack as `ORG/PROJECT/NAME`, where its program is, and a home that is not the user's."""

    stack: str
    work_dir: str
    backend: str = ""
    home: str | None = None
    program: str = ""
    """The function that is the program, and its folder; empty: it is what lies in `work_dir`."""


def missing_cli(place: Place) -> SophiaError:
    """There is no CLI at all."""
    return InvalidEnvironment(f"{place.stack}: the pulumi CLI is not installed, so the stack is left out", hint=INSTALL)


def not_runnable(place: Place, why: str) -> SophiaError:
    """There is a CLI, and it could not be started."""
    return InvalidEnvironment(
        f"{place.stack}: pulumi cannot be run in {place.work_dir}: {why}",
        hint="mend pulumi.work_dir, or run: sophia doctor",
    )


def too_old(place: Place, version: str) -> SophiaError:
    """The CLI is older than what is needed here."""
    needed = ".".join(map(str, MINIMUM))
    return InvalidEnvironment(
        f"{place.stack}: the pulumi CLI is version {version}; {needed} or later is needed",
        hint=INSTALL,
        details={"version": version},
    )


def timed_out(place: Place, what: str, limit_s: float, stderr: str, *, mutates: bool) -> SophiaError:
    """The CLI did not end in its time, and was stopped."""
    said = _said(stderr, ())
    message = f"{place.stack}: pulumi {what} did not end within {limit_s:g} s and was stopped{_after(said)}"
    if mutates:
        return StateError(message, hint=f"look at what was done: pulumi stack history -s {place.stack}")
    return Unreachable(message, hint="run the command again; if it hangs again, run: sophia doctor")


def explained(
    place: Place,
    what: str,
    code: int,
    stderr: str,
    diagnostics: Sequence[Diagnostic] = (),
    violations: Sequence[Violation] = (),
) -> SophiaError:
    """The error behind a command that failed: `what` is the command's words, such as `preview`."""
    mandatory = [one for one in violations if one.level == "mandatory"]
    if mandatory:
        return Refused(
            f"{place.stack}: {'; '.join(one.text() for one in mandatory)}",
            hint="change the program so that it keeps the policy, or the policy pack",
            details={"policies": [f"{one.pack}/{one.policy}" for one in mandatory]},
        )
    errors = [one for one in diagnostics if one.severity == "error"]
    text = "\n".join([stderr, *(one.message for one in errors)])
    if _LOCKED.search(text):
        return _locked(place, text)
    for failure in FAILURES:
        found = re.search(failure.pattern, text, re.IGNORECASE | re.MULTILINE)
        if found:
            return _error(failure, place, found, _said(stderr, errors))
    if code < 0:
        return ProviderRefused(
            f"{place.stack}: pulumi {what} was killed by signal {-code} before it ended",
            hint=f"see what was done: pulumi stack history -s {place.stack}; if it stays locked: pulumi cancel -s {place.stack}",
            details={"signal": -code},
        )
    noise = "\n".join(one.message for one in diagnostics if one.severity == "info#err")
    said = _said(stderr, errors) or _shortened(noise)
    return ProviderRefused(
        f"{place.stack}: pulumi {what} failed{_after(said) if said else f' with exit code {code}'}",
        hint=f"look at it closely: cd {place.work_dir} && pulumi preview -s {place.stack} --diff",
        details={"code": code},
    )


def _error(failure: Failure, place: Place, found: re.Match[str], said: str) -> SophiaError:
    """A failure of the table as the error it means for one stack."""
    groups = {name: text for name, text in found.groupdict().items() if text}
    version = groups.get("version") or groups.get("at")
    facts = {
        **groups,
        "stack": place.stack,
        "folder": place.work_dir,
        "program": place.program or f"in {place.work_dir}",
        "backend": _after(place.backend),
        "home": "" if place.home is None else f"PULUMI_HOME={place.home} ",
        "release": "" if version is None else f" {version}",
        "said": _after(said),
        "last": _after(_last_frames(said)),
    }
    reason = {"reason": failure.reason} if failure.reason else {}
    message, hint = failure.message.format_map(facts), failure.hint.format_map(facts)
    return failure.kind(f"{place.stack}: {message}", hint=hint, details={**groups, **reason})


def _locked(place: Place, text: str) -> Locked:
    holders = [
        {"by": f"{user}@{host}", "pid": int(pid), "since": since} for user, host, pid, since in _HOLDER.findall(text)
    ]
    who = "; ".join(f"by {one['by']} (process {one['pid']}) since {one['since']}" for one in holders)
    return Locked(
        f"{place.stack}: another update holds the stack{f', {who}' if who else _after(_shortened(text))}",
        hint=f"wait until it ends; if its process is dead, free the stack: pulumi cancel -s {place.stack}",
        details={"holders": holders},
    )


def held_by(conflict: SophiaError, looked: str) -> Locked:
    """A conflict with who runs the other update and since when, as far as what `pulumi stack` printed tells."""
    found = _RUNNING.search(looked)
    who = f", by {found['by']}, started {found['since']}" if found else ""
    details = {**conflict.details, **(found.groupdict() if found else {})}
    return Locked(f"{conflict.message}{who}", hint=conflict.hint, details=details)


def _said(stderr: str, errors: Sequence[Diagnostic]) -> str:
    """What was said, without the noise of a program that was stopped because of it."""
    spoken = "\n".join([stderr, *(one.message for one in errors)])
    whole = [line for line in spoken.splitlines() if line.strip()]
    lines = [line.removeprefix("error: ").rstrip() for line in whole if not _NOISE.match(line)]
    return _shortened("\n".join(dict.fromkeys(lines)))


def _last_frames(said: str) -> str:
    """A program's error: its last line, and where in the program it happened."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File ") and not line.startswith('File "<')]
    last = lines[-1] if lines else ""
    return f"{last} ({places[-1]})" if places and places[-1] != last else last


def _shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]} ..."


def _after(text: str) -> str:
    return f": {text}" if text else ""
