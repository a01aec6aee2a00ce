"""Failures explained: each text is what a real CLI or engine printed, and each explanation names a command to type."""

from __future__ import annotations

import pytest

from sophia_cli.core.errors import (
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
from sophia_cli.providers.pulumi.explain import Place, explained, missing_cli, timed_out, too_old

PLACE = Place("organization/shop/prod", "/srv/shop", "file:///srv/state", "/srv/.sophia/pulumi/home")
LOCKED = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock \
file with `pulumi cancel`.
  file:///srv/state/.pulumi/locks/organization/shop/prod/0b.json?no_tmp_dir=true: created by ada@builder (pid 4242) at \
2026-11-22T18:20:00Z"""

SAID: dict[str, tuple[str, type[SophiaError], str]] = {
    "passphrase": (
        "error: getting stack configuration: get stack secrets manager: incorrect passphrase",
        CredentialsRejected,
        "PULUMI_CONFIG_PASSPHRASE",
    ),
    "no passphrase": (
        "error: getting stack configuration: get stack secrets manager: passphrase must be set with "
        "PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment variables",
        CredentialsMissing,
        "PULUMI_CONFIG_PASSPHRASE_FILE",
    ),
    "no stack": ("error: no stack named 'prod' found", ProviderRefused, "pulumi stack init organization/shop/prod"),
    "no login": (
        "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
        CredentialsMissing,
        "pulumi login",
    ),
    "language host": (
        "error: failed to load language plugin yaml: no language plugin 'pulumi-language-yaml' found in the workspace or "
        "on your $PATH",
        InvalidEnvironment,
        "install",
    ),
    "plugin": (
        "error: no resource plugin 'pulumi-resource-aws-v6.50.1' found in the workspace or on your $PATH",
        InvalidEnvironment,
        "PULUMI_HOME=/srv/.sophia/pulumi/home pulumi plugin install resource aws 6.50.1",
    ),
    "dynamic plugin": (
        "no resource plugin 'pulumi-resource-pulumi-python' found in the workspace or on your $PATH",
        InvalidEnvironment,
        "official CLI",
    ),
    "backend": (
        'error: unable to open state directory "file:///srv/state": stat /srv/state: no such file or directory',
        StateError,
        "pulumi.backend",
    ),
    "lock": (LOCKED, Locked, "pulumi cancel -s organization/shop/prod"),
    "conflict": (
        "error: [409] Conflict: Another update is currently in progress.",
        Locked,
        "pulumi cancel -s organization/shop/prod",
    ),
    "sdk": (
        "It looks like the Pulumi SDK has not been installed. Have you run pip install?",
        InvalidEnvironment,
        "cd /srv/shop && pulumi install",
    ),
    "outside the plan": (
        "error: resource urn:pulumi:prod::shop::a:b:C::d violates plan: properties changed: +~text[{world}!={third}]",
        StalePlan,
        "sophia plan",
    ),
    "missing value": (
        "error: Missing required configuration variable 'shop:token'\n    please set a value using the command ...",
        InvalidEnvironment,
        "pulumiConfig",
    ),
    "network": (
        'error: Get "https://api.pulumi.example/": dial tcp: lookup api.pulumi.example: no such host',
        Unreachable,
        "again",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_a_known_failure_names_its_cause_and_what_to_type(name: str) -> None:
    said, kind, hint = SAID[name]
    error = explained(PLACE, "preview", 1, said)
    assert type(error) is kind
    assert error.message.startswith("organization/shop/prod: ")
    assert hint in (error.hint or "")


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
