"""From the name of a secret to its target: who makes its values, who holds copies. Shows no value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.history import Run
    from sophia_cli.core.rotation import Consumer, Rotation, Source
    from sophia_cli.core.secret_versions import SecretVersions
    from sophia_cli.flows.ground import Ground
    from sophia_cli.providers.rotation.target import SecretTarget

GENERATED, PULUMI = "generated", "pulumi-token"
_GITHUB = "github:"
DEFAULT_LENGTH = 43


def secret_target_of(
    found: Session,
    path: str,
    kind: str,
    github: Sequence[str],
    length: int = DEFAULT_LENGTH,
    old_id: str | None = None,
) -> SecretTarget:
    """The target of one secret of this environment. Raises `UsageError`, `CredentialsMissing`, `Refused`."""
    from sophia_cli.cli.clock import new_run_id
    from sophia_cli.cli.environments import load_environment
    from sophia_cli.cli.redaction import learn
    from sophia_cli.cli.state import rotations_of
    from sophia_cli.core.errors import Refused
    from sophia_cli.core.secret_versions import secret_target
    from sophia_cli.providers.rotation.target import SecretTarget

    file, seals = found.file, found.seals
    if file is None or seals is None:
        raise Refused(
            f"the environment {found.settings.environment} cannot be written here",
            hint="rotate the secret where its environment is a local file, or with a rotator of Pulumi ESC",
        )

    async def evaluated() -> str | None:
        node = (await load_environment(found.common)).get(path)
        text = None if node is None else node.text()
        if text:
            learn({text})
        return text

    async def told(rotation: Rotation, step: str) -> None:
        await found.stream().say(
            f"rotate.{step}", target=secret_target(rotation.path), path=rotation.path, rotation=rotation.id,
            kind=rotation.kind,
        )  # fmt: skip

    return SecretTarget(
        path,
        file,
        _source(found, kind, length),
        list(_consumers(github)),
        rotations_of(found.documents, found.settings.environment),
        seals,
        found.clock,
        evaluated,
        lambda: new_run_id(found.clock),
        told,
        old_id,
    )


async def with_secrets_of_runs(found: Session, ground: Ground) -> Ground:
    """The ground with the secrets that interrupted runs of this environment rotated, whichever one this command is about."""
    from sophia_cli.cli.printing import note
    from sophia_cli.core.errors import CredentialsMissing

    targets = dict(ground.targets)
    for run in await found.store.journal.open_runs():
        for versions in _rotated(run, found):
            try:
                github = [name.removeprefix(_GITHUB) for name in versions.consumers]
                port = secret_target_of(found, versions.path, versions.source, github)
            except CredentialsMissing as exc:
                note(found.common, f"run {run.id} stays open: {exc.message}")
                continue
            targets.setdefault(port.id, port)
    return replace(ground, targets=targets)


def _rotated(run: Run, found: Session) -> Iterator[SecretVersions]:
    from sophia_cli.core.secret_versions import SecretVersions

    if run.environment == found.settings.environment and found.file is not None:
        for change in run.changes:
            if isinstance(change.after, SecretVersions):
                yield change.after


def _source(found: Session, kind: str, length: int) -> Source:
    from datetime import timedelta

    from sophia_cli.cli.state import seals_of
    from sophia_cli.core.secrets_inventory import DEFAULT_DAYS

    if kind == GENERATED:
        from sophia_cli.providers.rotation.generated import Generated

        return Generated(lambda: seals_of(found.state).key, length)
    from sophia_cli.providers.rotation.pulumi import DEFAULT_BACKEND, PulumiToken

    days = found.settings.security.secret_rotation_days or DEFAULT_DAYS
    return PulumiToken(os.environ.get("PULUMI_BACKEND_URL") or DEFAULT_BACKEND, timedelta(days=2 * days))


def _consumers(github: Sequence[str]) -> Iterator[Consumer]:
    from pydantic import SecretStr

    from sophia_cli.cli.redaction import learn
    from sophia_cli.core.errors import CredentialsMissing
    from sophia_cli.providers.rotation.github import DEFAULT_API, GitHubSecret

    for target in dict.fromkeys(github):
        token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN")
        if not token:
            raise CredentialsMissing("--github wants a token that may write secrets", hint="set GITHUB_TOKEN")
        learn({token})
        yield GitHubSecret(target, SecretStr(token), os.environ.get("GITHUB_API_URL") or DEFAULT_API)
