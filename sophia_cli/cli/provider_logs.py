"""The logs of providers for `sophia audit threats`: the histories of the environment's stacks, and a file. Writes nothing."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.options import Common
from sophia_cli.core.errors import InvalidEnvironment, SophiaError, UsageError

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.cli.state import LocalState
    from sophia_cli.core.ports import StackHistory
    from sophia_cli.core.provider_events import Source
    from sophia_cli.core.settings import Settings
    from sophia_cli.esc.environment import Environment

LARGEST = 16 * 1024 * 1024  # bytes of a file of events


@contextlib.asynccontextmanager
async def stack_histories(
    common: Common, local: LocalState
) -> AsyncIterator[tuple[tuple[StackHistory, ...], tuple[Source, ...]]]:
    """The stacks whose histories can be asked for, and those that cannot with the reason.

    The engine works in a folder of its own that goes away again, so that looking leaves nothing in the state.
    """
    from sophia_cli.cli.stacks import chosen_stack, has_cli, stack_target
    from sophia_cli.core.provider_events import Source, stack_source

    environment, settings, reason = await _settings(common)
    if settings is None or not settings.pulumi.stacks:
        yield (), () if reason is None else (Source("pulumi", reason=reason),)
        return
    one = chosen_stack(settings, common.stack) if common.stack else None
    stacks = settings.pulumi.stacks if one is None else (one,)
    if not has_cli():
        reason = "the pulumi command is not here (sophia doctor)"
        yield (), tuple(Source(stack_source(stack.name), reason=reason) for stack in stacks)
        return
    with tempfile.TemporaryDirectory(prefix="sophia-") as folder:
        found = _session(common, local, settings, environment, Path(folder))
        ports: list[StackHistory] = []
        left_out: list[Source] = []
        for stack in stacks:
            try:
                ports.append(stack_target(found, stack))
            except SophiaError as exc:
                left_out.append(Source(stack_source(stack.name), reason=exc.message))
        yield tuple(ports), tuple(left_out)


async def _settings(common: Common) -> tuple[Environment | None, Settings | None, str | None]:
    """The environment, or why it cannot be used. Where there is none, the log of a machine is judged without one."""
    from sophia_cli.cli.environments import environment_path, load_settings
    from sophia_cli.cli.redaction import learn

    if common.env is None:
        try:
            environment_path(common)
        except InvalidEnvironment:
            return None, None, None
    try:
        environment, settings = await load_settings(common)
    except SophiaError as exc:
        return None, None, f"the environment cannot be used: {exc.message}"
    learn({secret.get_secret_value() for secret in settings.secrets})
    return environment, settings, None


def _session(
    common: Common, local: LocalState, settings: Settings, environment: Environment | None, folder: Path
) -> Session:
    """What a stack is reached with; nothing else is connected."""
    from sophia_cli.cli.clock import SystemClock
    from sophia_cli.cli.session import Session
    from sophia_cli.cli.signals import SignalGuard

    return Session(
        *(
            common,
            "audit threats",
            SystemClock(),
            SignalGuard(),
            local.store,
            local.documents,
            folder,
            folder,
            settings,
        ),
        environment,
    )


def exported(path: str) -> Source:
    """A log exported from a provider, as JSON lines. Raises `UsageError` for one that cannot be read or is too large."""
    from sophia_cli.core.provider_events import parsed

    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as exc:
        raise UsageError(f"--events {path}: {exc.strerror or exc}", hint="name a file of JSON lines") from exc
    if len(data) > LARGEST:
        raise UsageError(
            f"--events {path}: it has more than {LARGEST // 1024**2} MiB", hint="export a shorter time and try again"
        )
    return parsed(data.decode("utf-8", "replace").split("\n"), f"file:{Path(path).name}")
