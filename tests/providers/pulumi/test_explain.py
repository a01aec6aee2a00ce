"""Failures explained: what a real CLI printed (`recorded/failures.json`), and what each explanation tells to type."""

from __future__ import annotations

import json

import pytest

from sophia_cli.core.errors import (
    CredentialsMissing,
    CredentialsRejected,
    InvalidEnvironment,
    Locked,
    ProviderRefused,
    RateLimited,
    Refused,
    SophiaError,
    StalePlan,
    StateError,
    Unreachable,
)
from sophia_cli.providers.pulumi.events import Diagnostic, Violation
from sophia_cli.providers.pulumi.explain import Place, explained, held_by, missing_cli, timed_out, too_old
from tests.providers.pulumi.recording import RECORDED

PLACE = Place("organization/shop/prod", "/srv/shop", "file:///srv/state", "/srv/.sophia/pulumi/home")
LOCKED = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock \
file with `pulumi cancel`.
  file:///srv/state/.pulumi/locks/organization/shop/prod/0b.json?no_tmp_dir=true: created by ada@builder (pid 4242) at \
2026-11-22T18:20:00Z"""

# What a real CLI (3.260) said in each case: its exit code, its standard error, and the diagnostics of its engine.
RECORDED_FAILURES = json.loads((RECORDED / "failures.json").read_text(encoding="utf-8"))

# By case: the error it means, a part of its message, and a part of its hint.
MEANT: dict[str, tuple[type[SophiaError], str, str]] = {
    "a backend folder that is not there": (StateError, "backend cannot be opened", "pulumi.backend"),
    "a backend that does not answer": (Unreachable, "connection refused", "again"),
    "a configuration file that is no YAML": (InvalidEnvironment, "not YAML", "mend it"),
    "a configuration value is missing": (InvalidEnvironment, "shop:zone", "pulumiConfig"),
    "a key service that does not answer": (Unreachable, "key service", "VAULT_SERVER_URL"),
    "a key service that refuses": (CredentialsRejected, "permission denied", "pulumi.secrets_provider"),
    "a login that is over": (CredentialsRejected, "does not accept the login", "pulumi login"),
    "a module that is not there": (InvalidEnvironment, "No module named 'nothere'", "mend the program in /srv/shop"),
    "a passphrase file that cannot be read": (CredentialsMissing, "/nope", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    "a program that ends itself": (InvalidEnvironment, "exit code: 3", "mend the program"),
    "a program that is no Python": (InvalidEnvironment, "SyntaxError: invalid syntax (File", "mend the program"),
    "a program that raises": (
        InvalidEnvironment,
        'ValueError: boom (File "/srv/shop/__main__.py", line 1',
        "sophia plan",
    ),
    "a project file that is no YAML": (InvalidEnvironment, "not YAML", "mend it"),
    "a protected resource": (Refused, "protected resource would be deleted", "take `protect` off"),
    "a token that is refused": (CredentialsRejected, "login: Unauthorized", "PULUMI_ACCESS_TOKEN"),
    "a wrong passphrase": (CredentialsRejected, "passphrase does not open", "PULUMI_CONFIG_PASSPHRASE"),
    "a wrong passphrase, on reading the configuration": (CredentialsRejected, "passphrase", "PULUMI_CONFIG_PASSPHRASE"),
    "an update that runs in Pulumi Cloud": (Locked, "409 Conflict", "pulumi cancel -s organization/shop/prod"),
    "ESC imports on a file backend": (InvalidEnvironment, "does not support", "environment:"),
    "locked": (Locked, "ada@builder (process 4242)", "pulumi cancel -s organization/shop/prod"),
    "no language host": (InvalidEnvironment, "pulumi-language-klingon", "https://www.pulumi.com/docs/install/"),
    "no login": (CredentialsMissing, "nobody is logged in", "pulumi.home: ~/.pulumi"),
    "no main program": (InvalidEnvironment, "unable to find main python program", "mend the program"),
    "no passphrase": (CredentialsMissing, "none is given", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    "no project": (InvalidEnvironment, "no Pulumi project in /srv/shop", "pulumi.work_dir"),
    "no resource plugin": (
        InvalidEnvironment,
        "plugin aws 6.50.1 is not installed",
        "PULUMI_HOME=/srv/.sophia/pulumi/home pulumi plugin install resource aws 6.50.1",
    ),
    "no stack": (ProviderRefused, "no such stack", "pulumi stack init organization/shop/prod"),
}
# What older CLIs, other languages and the engine in an update say. Nobody ran these here: they are from sources and threads.
ELSEWHERE: dict[str, tuple[str, type[SophiaError], str]] = {
    "an older plugin text": (
        "error: no resource plugin 'pulumi-resource-aws-v6.50.1' found in the workspace or on your $PATH",
        InvalidEnvironment,
        "pulumi plugin install resource aws 6.50.1",
    ),
    "the plugin of dynamic resources": (
        "no resource plugin 'pulumi-resource-pulumi-python' found in the workspace or on your $PATH",
        InvalidEnvironment,
        "official CLI",
    ),
    "a program without its SDK": (
        "It looks like the Pulumi SDK has not been installed. Have you run pip install?",
        InvalidEnvironment,
        "cd /srv/shop && pulumi install",
    ),
    "a step outside the plan": (
        "error: resource urn:pulumi:prod::shop::a:b:C::d violates plan: properties changed: +~text[{world}!={third}]",
        StalePlan,
        "sophia plan",
    ),
    "a name that does not resolve": (
        'error: Get "https://api.pulumi.example/": dial tcp: lookup api.pulumi.example: no such host',
        Unreachable,
        "again",
    ),
    "too many requests": ("error: pulumi service: request rate-limit exceeded", RateLimited, "wait"),
    "a service in trouble": ("error: [503] Service Unavailable (Request ID: 1)", Unreachable, "again"),
}


@pytest.mark.parametrize("name", RECORDED_FAILURES)
def test_a_failure_of_a_real_cli_names_its_cause_and_what_to_type(name: str) -> None:
    said = RECORDED_FAILURES[name]
    diagnostics = [Diagnostic(severity, message) for severity, message in said["diagnostics"]]
    error = explained(PLACE, "preview", said["code"], said["stderr"], diagnostics)
    kind, message, hint = MEANT[name]
    assert (type(error), message in error.message, hint in (error.hint or "")) == (kind, True, True), error.message
    assert error.message.startswith("organization/shop/prod: ")
    assert "KeyboardInterrupt" not in error.message
    assert "Logging in using" not in error.message


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_failure_known_from_elsewhere_is_explained_as_well(name: str) -> None:
    said, kind, hint = ELSEWHERE[name]
    error = explained(PLACE, "preview", 1, said)
    assert (type(error), hint in (error.hint or "")) == (kind, True)


def test_a_conflict_names_who_runs_the_other_update_when_the_stack_tells() -> None:
    conflict = explained(PLACE, "up", 1, RECORDED_FAILURES["an update that runs in Pulumi Cloud"]["stderr"])
    looked = (
        "Current stack is prod:\n    Managed by api.example\n    Owner: acme\n    Update in progress:\n"
        "\tStarted: 3 minutes ago\n\tRequested By: grace\n    Pulumi version used: 3.265.0\n"
    )
    assert held_by(conflict, looked).message.endswith("(409 Conflict), by grace, started 3 minutes ago")
    assert held_by(conflict, "").message == conflict.message


def test_a_lock_names_who_holds_it_and_since_when() -> None:
    error = explained(PLACE, "up", 1, LOCKED)
    assert "ada@builder" in error.message
    assert "2026-11-22T18:20:00Z" in error.message
    assert error.details["holders"] == [{"by": "ada@builder", "pid": 4242, "since": "2026-11-22T18:20:00Z"}]
    assert error.exit_code == 6


def test_a_programs_error_shows_its_last_line_and_place_and_not_the_noise_after_it() -> None:
    trace = (
        "Program failed with an unhandled exception:\nTraceback (most recent call last):\n"
        '  File "/srv/shop/__main__.py", line 23, in <module>\n    raise ValueError("boom")\nValueError: boom\n'
    )
    noise = [Diagnostic("info#err", "KeyboardInterrupt"), Diagnostic("error", trace)]
    error = explained(PLACE, "preview", 1, "", noise)
    assert isinstance(error, InvalidEnvironment)
    assert "ValueError: boom" in error.message
    assert 'File "/srv/shop/__main__.py", line 23' in error.message
    assert "KeyboardInterrupt" not in error.message


def test_a_function_that_is_missing_is_looked_for_where_it_should_be() -> None:
    said = RECORDED_FAILURES["a module that is not there"]["diagnostics"]
    frozen = '  File "<frozen importlib._bootstrap>", line 1140, in _find_and_load_unlocked\nModuleNotFoundError'
    trace = said[-1][1].replace("ModuleNotFoundError", frozen)
    place = Place("organization/shop/prod", "/srv/.sophia/programs/shop", program="infra:main in /srv/shop")
    error = explained(place, "preview", 1, "", [Diagnostic("error", trace)])
    assert (error.hint or "").startswith("mend the program infra:main in /srv/shop")
    assert 'File "/srv/shop/__main__.py", line 1' in error.message


def test_a_mandatory_policy_is_a_refusal_with_its_name_and_an_advisory_one_is_not() -> None:
    error = explained(
        PLACE, "preview", 1, "", (), [Violation("no-public", "house", "mandatory", "buckets\nare private")]
    )
    assert isinstance(error, Refused)
    assert "policy house/no-public: buckets are private" in error.message
    advisory = [Violation("tags", "house", "advisory", "tag it")]
    assert isinstance(explained(PLACE, "preview", 1, "error: else", (), advisory), ProviderRefused)


def test_an_unknown_failure_keeps_what_was_said_and_says_how_to_look_closer() -> None:
    error = explained(PLACE, "preview", 7, "error: something new")
    assert type(error) is ProviderRefused
    assert "something new" in error.message
    assert "pulumi preview -s organization/shop/prod" in (error.hint or "")
    assert "exit code 7" in explained(PLACE, "preview", 7, "").message


def test_a_missing_and_an_old_cli_say_where_to_get_one() -> None:
    for error in (missing_cli(PLACE), too_old(PLACE, "3.90.0")):
        assert "https://www.pulumi.com/docs/install/" in (error.hint or "")
    assert "3.90.0" in too_old(PLACE, "3.90.0").message


def test_a_stopped_command_says_what_it_said_last() -> None:
    looking = timed_out(PLACE, "preview", 5, "waiting for a server", mutates=False)
    assert (type(looking), looking.retryable) == (Unreachable, True)
    assert "waiting for a server" in looking.message
    assert not timed_out(PLACE, "up", 5, "", mutates=True).retryable
