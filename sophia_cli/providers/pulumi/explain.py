"""Failures of the CLI and the engine explained: what happened, and the next command to type. A pure function."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sophia_cli.core.errors import (
    BadResponse,
    CredentialsMissing,
    CredentialsRejected,
    InvalidEnvironment,
    Locked,
    ProviderRefused,
    Refused,
    SophiaError,
    StalePlan,
    StateError,
    Unreachable,
)
from sophia_cli.providers.pulumi.events import Diagnostic, Violation

INSTALL = "install the official CLI (https://www.pulumi.com/docs/install/), then run: sophia doctor"
MINIMUM = (3, 110, 0)  # the first with `--preview-only` for refresh and destroy, and streamed previews
MESSAGE_LIMIT = 1500
PROTECTED = "protected"


@dataclass(frozen=True, slots=True)
class Place:
    """What a hint needs to name: the stack as `ORG/PROJECT/NAME`, where its program is, and a home that is not the user's."""

    stack: str
    work_dir: str
    backend: str = ""
    home: str | None = None


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
    for case in CASES:
        found = re.search(case.pattern, text, re.IGNORECASE | re.MULTILINE)
        if found:
            return case.make(place, found, _said(stderr, errors))
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


@dataclass(frozen=True, slots=True)
class Case:
    """One known failure: a pattern in what was said, and the error it means."""

    pattern: str
    make: Callable[[Place, re.Match[str], str], SophiaError]


def _locked(place: Place, found: re.Match[str], said: str) -> SophiaError:
    holders = [
        {"by": f"{user}@{host}", "pid": int(pid), "since": since}
        for user, host, pid, since in re.findall(r"created by (\S+?)@(\S+) \(pid (\d+)\) at (\S+)", found.string)
    ]
    who = "; ".join(f"by {one['by']} (process {one['pid']}) since {one['since']}" for one in holders)
    return Locked(
        f"{place.stack}: another update holds the stack{f', {who}' if who else _after(said)}",
        hint=f"wait until it ends; if its process is dead, free the stack: pulumi cancel -s {place.stack}",
        details={"holders": holders},
    )


def _conflict(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return Locked(
        f"{place.stack}: another update is running in Pulumi Cloud (409 Conflict){_after(said)}",
        hint=f"wait until it ends, or stop it: pulumi cancel -s {place.stack}",
    )


def _wrong_passphrase(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return CredentialsRejected(
        f"{place.stack}: the passphrase does not open the stack's secrets",
        hint="set the stack's own passphrase: pulumi.passphrase, PULUMI_CONFIG_PASSPHRASE or ..._FILE",
    )


def _no_passphrase(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return CredentialsMissing(
        f"{place.stack}: its secrets are kept under a passphrase, and none is given",
        hint="set pulumi.passphrase, or export PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    )


def _no_login(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return CredentialsMissing(
        f"{place.stack}: nobody is logged in to the stack's backend{_after(place.backend)}",
        hint="set PULUMI_ACCESS_TOKEN, or name a backend: pulumi.backend (such as file://./state), or run: pulumi login",
    )


def _rejected(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return CredentialsRejected(
        f"{place.stack}: the backend does not accept the login{_after(said)}",
        hint="log in again: pulumi login, or set PULUMI_ACCESS_TOKEN to a valid token",
    )


def _no_stack(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return ProviderRefused(
        f"{place.stack}: there is no such stack{_after(place.backend)}",
        hint=f"look at what there is: pulumi stack ls --all; or make it: pulumi stack init {place.stack}",
        details={"reason": "stack not found"},
    )


def _no_language_host(place: Place, found: re.Match[str], said: str) -> SophiaError:
    language = found["language"]
    return InvalidEnvironment(
        f"{place.stack}: the language host for {language} (pulumi-language-{language}) is not installed",
        hint=f"it comes with the official CLI: {INSTALL}",
        details={"language": language},
    )


def _no_plugin(place: Place, found: re.Match[str], said: str) -> SophiaError:
    named = found["plugin"].removeprefix("pulumi-resource-")
    version = f" {found['version']}" if found.groupdict().get("version") else ""
    home = "" if place.home is None else f"PULUMI_HOME={place.home} "
    hint = f"install it: {home}pulumi plugin install resource {named}{version}; or share yours: pulumi.plugins"
    if named == "pulumi-python":
        hint = f"it comes with the official CLI (beside pulumi-language-python): {INSTALL}"
    return InvalidEnvironment(
        f"{place.stack}: the resource plugin {named}{version} is not installed, and sophia downloads none by itself",
        hint=hint,
        details={"plugin": named},
    )


def _no_sdk(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return InvalidEnvironment(
        f"{place.stack}: the program in {place.work_dir} lacks its packages{_after(said)}",
        hint=f"install them: cd {place.work_dir} && pulumi install",
    )


def _stale(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return StalePlan(
        f"{place.stack}: the engine stopped at a step that the approved plan does not hold{_after(said)}",
        hint="run: sophia plan",
    )


def _program(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return InvalidEnvironment(
        f"{place.stack}: the program raised an error{_after(_last_frames(said))}",
        hint=f"mend the program in {place.work_dir}, then run: sophia plan",
    )


def _protected(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return Refused(
        f"{place.stack}: a protected resource would be deleted or replaced{_after(said)}",
        hint="take `protect` off it in the program first, apply that, and then delete it",
        details={"reason": PROTECTED},
    )


def _pending(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return ProviderRefused(
        f"{place.stack}: an earlier update was cut off, and what became of its resources is not known{_after(said)}",
        hint=f"find out: cd {place.work_dir} && pulumi refresh -s {place.stack}",
    )


def _no_backend(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return StateError(
        f"{place.stack}: the backend cannot be opened{_after(said)}",
        hint="a file backend's folder must exist: make it, or mend pulumi.backend",
    )


def _no_project(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return InvalidEnvironment(
        f"{place.stack}: there is no Pulumi project in {place.work_dir}",
        hint="name the folder that holds Pulumi.yaml: pulumi.work_dir",
    )


def _no_environments(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return InvalidEnvironment(
        f"{place.stack}: its configuration imports ESC environments, which this backend does not support",
        hint="take `environment:` out of the stack's file; sophia hands pulumiConfig over by itself",
    )


def _missing_config(place: Place, found: re.Match[str], said: str) -> SophiaError:
    key = found["key"]
    return InvalidEnvironment(
        f"{place.stack}: the program needs the configuration value {key}",
        hint=f"add it: sophia config set 'pulumiConfig[\"{key}\"]' VALUE",
        details={"key": key},
    )


def _unreachable(place: Place, found: re.Match[str], said: str) -> SophiaError:
    return Unreachable(
        f"{place.stack}: the backend did not answer{_after(said)}", hint="run the command again, or run: sophia doctor"
    )


CASES: tuple[Case, ...] = (
    Case(r"currently locked by \d+ lock", _locked),
    Case(r"\b409\b.*(conflict|update is already in progress|another update)|another update is currently", _conflict),
    Case(r"incorrect passphrase", _wrong_passphrase),
    Case(r"passphrase must be set", _no_passphrase),
    Case(r"PULUMI_ACCESS_TOKEN must be set|not logged in|no credentials for", _no_login),
    Case(r"\b401\b.*unauthorized|invalid access token|\b403\b.*forbidden", _rejected),
    Case(r"no stack named|stack '[^']*' not found|\[404\].*stack", _no_stack),
    Case(r"no language plugin 'pulumi-language-(?P<language>[\w-]+)'", _no_language_host),
    Case(
        r"no resource plugin '(?P<plugin>[\w.-]+?)(?:-v(?P<version>\d[\w.+-]*))?'"
        r"|Could not automatically download and install resource plugin '(?P<unused>[^']+)'",
        lambda place, found, said: _plugin(place, found, said),
    ),
    Case(r"No module named 'pulumi|Have you run pip install|Cannot find module '@pulumi|run npm install", _no_sdk),
    Case(r"violates plan|update plan", _stale),
    Case(r"Missing required configuration variable '(?P<key>[^']+)'", _missing_config),
    Case(r"is protected|protected resources?|as it is currently marked for protection", _protected),
    Case(r"pending operations", _pending),
    Case(r"unable to open (state directory|bucket)|could not (list|open) bucket", _no_backend),
    Case(r"no Pulumi\.yaml project file found|failed to load project|could not find Pulumi\.yaml", _no_project),
    Case(r"does not support environments", _no_environments),
    Case(r"Program failed with an unhandled exception|program exited with non-zero exit code", _program),
    Case(r"no such host|connection refused|i/o timeout|network is unreachable|TLS handshake", _unreachable),
)


def _plugin(place: Place, found: re.Match[str], said: str) -> SophiaError:
    if found["plugin"] is not None:
        return _no_plugin(place, found, said)
    named = re.match(r"(?:pulumi-resource-)?(?P<plugin>[\w-]+?)(?:[- ]v?(?P<version>\d[\w.]*))?$", found["unused"])
    return _no_plugin(place, named, said) if named else BadResponse(f"{place.stack}: {said}")


def _said(stderr: str, errors: Sequence[Diagnostic]) -> str:
    """What was said, without the noise of a program that was stopped because of it."""
    spoken = "\n".join([stderr, *(one.message for one in errors)])
    lines = [line.removeprefix("error: ").rstrip() for line in spoken.splitlines() if line.strip()]
    return _shortened("\n".join(dict.fromkeys(lines)))


def _last_frames(said: str) -> str:
    """A program's error: its last line, and where in the program it happened."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File ")]
    last = lines[-1] if lines else ""
    return f"{last} ({places[-1]})" if places and places[-1] != last else last


def _shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]} ..."


def _after(text: str) -> str:
    return f": {text}" if text else ""
