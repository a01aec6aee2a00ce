"""The operations of one stack: each one command of the CLI with its time limit, its failures explained. Decides nothing."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sophia_cli.core.errors import BadResponse, Locked, Refused, SophiaError
from sophia_cli.core.stack_steps import EngineStep, fold
from sophia_cli.core.stacks import SECRET, Output, Update
from sophia_cli.providers.pulumi.configuration import Setting, ciphertexts_in, current
from sophia_cli.providers.pulumi.events import Stream, hidden
from sophia_cli.providers.pulumi.explain import (
    MINIMUM,
    Place,
    explained,
    held_by,
    missing_cli,
    not_runnable,
    timed_out,
    too_old,
)
from sophia_cli.providers.pulumi.failures import CONFLICT, PROTECTED
from sophia_cli.providers.pulumi.process import Call, Cli, Finished
from sophia_cli.providers.pulumi.scratch import is_alive

Progress = Callable[[EngineStep], None]
"""Told of each step of an update as it happens. Whatever it raises is noted and stops nothing."""

_PAGE = 100  # updates asked for by one command
_NO_STACK = re.compile(r"no stack named|stack '[^']*' not found", re.IGNORECASE)
_NO_UPDATE = re.compile(r"no previous deployment", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a command may take, in seconds: one that only looks, a preview, and one that changes resources."""

    command_s: float = 120.0
    preview_s: float = 900.0
    update_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Scope:
    """What an operation covers: the whole stack, or some of its resources; after a refresh, or as the state says."""

    targets: tuple[str, ...] = ()
    refresh: bool = False

    def args(self, *, can_refresh: bool = True) -> tuple[str, ...]:
        """The flags for it."""
        refresh = ("--refresh",) if self.refresh and can_refresh else ()
        return (*refresh, *(part for urn in self.targets for part in ("--target", urn)))


@dataclass(frozen=True, slots=True)
class Engine:
    """One stack's engine. `environment` is the whole environment of its child processes."""

    cli: Cli
    place: Place
    cwd: Path
    environment: Mapping[str, str]
    limits: TimeLimits = TimeLimits()
    policy_packs: tuple[str, ...] = ()
    hide: tuple[str, ...] = field(default=(), repr=False)
    """Texts of secrets that must show neither in a step nor in a message, whatever the program does with them."""

    # -- looking ----------------------------------------------------------------------------------------------------------

    async def version(self) -> str:
        """The CLI's version; empty when it is a build that names none. Raises `InvalidEnvironment` when it is too old."""
        finished = await self._run(("version",), self.limits.command_s, needs_stack=False)
        text = finished.stdout.strip().removeprefix("v")
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
        if numbers and tuple(map(int, numbers.groups())) < MINIMUM:
            raise too_old(self.place, text)
        return text

    async def exported(self) -> str | None:
        """The state as JSON with its secrets in plain text, for this process's memory only; None when there is no stack."""
        finished = await self._finished(("stack", "export", "--show-secrets"))
        if finished.code and _NO_STACK.search(finished.stderr):
            return None
        return self._checked(finished, "stack export").stdout

    async def configuration(self, file: Path) -> dict[str, Setting]:
        """The stack's configuration in a file, decrypted in memory."""
        args = ("config", "--json", "--show-secrets", "--open=false", "--config-file", str(file))
        return current(self.place.stack, self._checked(await self._finished(args), "config").stdout)

    async def recorded_configuration(self, file: Path) -> bool:
        """Write the configuration of the stack's last update into a file; False when there was no update."""
        finished = await self._finished(("config", "refresh", "--force", "--config-file", str(file)))
        if finished.code and _NO_UPDATE.search(finished.stderr):
            return False
        self._checked(finished, "config refresh")
        return True

    async def outputs(self) -> dict[str, Output]:
        """The stack's outputs now, secrets as `SecretStr` of their JSON text."""
        masked = self._json(await self._run(("stack", "output", "--json"), self.limits.command_s), "stack output")
        if SECRET not in json.dumps(masked):
            return {name: Output(value) for name, value in masked.items()}
        args = ("stack", "output", "--json", "--show-secrets")
        plain = self._json(await self._run(args, self.limits.command_s), "stack output")
        return {
            name: Output(SecretStr(json.dumps(plain[name])), True) if SECRET in json.dumps(value) else Output(value)
            for name, value in masked.items()
        }

    async def history(self, count: int = 10) -> tuple[Update, ...]:
        """The newest updates of the stack, newest first. Raises `BadResponse` for entries that are none."""
        found: list[Update] = []
        size = min(count, _PAGE)
        for page in range(1, -(-count // size) + 1):
            args = ("stack", "history", "--json", "--page-size", str(size), "--page", str(page))
            finished = await self._run(args, self.limits.command_s)
            entries = self._json(finished, "stack history", list) if finished.stdout.strip() else []
            try:
                found += map(_update, entries)
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                raise BadResponse(
                    f"{self.place.stack}: pulumi stack history gave an entry that is no update",
                    hint="run: sophia doctor",
                ) from exc
            if len(entries) < size:
                break
        return tuple(found[:count])

    async def preview(self, file: Path, scope: Scope = Scope(), plan: Path | None = None) -> Stream:
        """What an update would do. With `plan`, also the engine's own update plan; its secrets are encrypted."""
        saved = () if plan is None else ("--save-plan", str(plan))
        args = ("preview", "--json", "--config-file", str(file), *saved, *scope.args(), *self._policies())
        return await self._previewed(args)

    async def preview_refresh(self, file: Path, scope: Scope = Scope()) -> Stream:
        """How the resources differ from the state. Changes neither."""
        args = ("refresh", "--preview-only", "--json", "--config-file", str(file), *scope.args(can_refresh=False))
        return await self._streamed(args, self.limits.preview_s)

    async def preview_destroy(self, file: Path, scope: Scope = Scope()) -> Stream:
        """What deleting every resource would do."""
        args = ("destroy", "--preview-only", "--json", "--config-file", str(file), *scope.args(can_refresh=False))
        return await self._previewed(args)

    async def encrypted(self, texts: Sequence[str], file: Path) -> dict[str, str]:
        """The ciphertext of each text under the stack's secrets provider. `file` is a scratch copy that may be changed."""
        keys = {f"sophia:secret{number}": text for number, text in enumerate(dict.fromkeys(texts))}
        for key, text in keys.items():
            raw = ("--raw",) if text.endswith("\n") else ()
            args = ("config", "set", "--secret", *raw, "--config-file", str(file), key)
            await self._run(args, self.limits.command_s, stdin=text)
        if not keys:
            return {}
        sealed = ciphertexts_in(file.read_text(encoding="utf-8"), keys)
        return {text: sealed[key] for key, text in keys.items()}

    # -- changing -----------------------------------------------------------------------------------------------------------

    async def init(self, secrets_provider: str | None) -> None:
        """Make the stack, without selecting it."""
        provider = ("--secrets-provider", secrets_provider) if secrets_provider else ()
        await self._run(("stack", "init", "--no-select", *provider), self.limits.command_s)

    async def up(
        self, file: Path, plan: Path, scope: Scope = Scope(), message: str = "", on_step: Progress | None = None
    ) -> tuple[Stream, tuple[str, ...]]:
        """Apply a saved plan: the engine refuses every step outside it. Also what went wrong with `on_step`."""
        args = ("up", "--yes", "--skip-preview", "--json", "--config-file", str(file), "--plan", str(plan))
        return await self._updated((*args, *scope.args(), *self._policies(), *_message(message)), on_step)

    async def refresh(
        self, file: Path, scope: Scope, message: str = "", on_step: Progress | None = None
    ) -> tuple[Stream, tuple[str, ...]]:
        """Take what the resources are into the state."""
        args = ("refresh", "--yes", "--skip-preview", "--json", "--config-file", str(file))
        return await self._updated((*args, *scope.args(can_refresh=False), *_message(message)), on_step)

    async def destroy(
        self, file: Path, scope: Scope = Scope(), message: str = "", on_step: Progress | None = None
    ) -> tuple[Stream, tuple[str, ...]]:
        """Delete every resource; the empty stack and its configuration stay."""
        args = ("destroy", "--yes", "--skip-preview", "--json", "--config-file", str(file))
        return await self._updated((*args, *scope.args(can_refresh=False), *_message(message)), on_step)

    async def remove(self) -> None:
        """Remove the empty stack; its configuration file stays. Refused by the CLI while it holds resources."""
        await self._run(("stack", "rm", "--yes", "--preserve-config"), self.limits.command_s)

    async def cancel(self) -> None:
        """Free the stack from the lock of an update that is dead. Never call this for an update that may be alive."""
        await self._run(("cancel", "--yes"), self.limits.command_s)

    # -- running ----------------------------------------------------------------------------------------------------------

    def _policies(self) -> tuple[str, ...]:
        return tuple(part for pack in self.policy_packs for part in ("--policy-pack", pack))

    async def _previewed(self, args: tuple[str, ...]) -> Stream:
        """A preview that shows protected resources it would delete or replace, and says that an update will not do it.

        The engine stops at the first of them unless told to ignore the protection, which only newer CLIs can be.
        """
        try:
            return await self._streamed(args, self.limits.preview_s)
        except Refused as refused:
            if refused.details.get("reason") != PROTECTED:
                raise
            try:
                stream = await self._streamed((*args, "--ignore-protect"), self.limits.preview_s)
            except SophiaError:
                raise refused from None
            stream.blocks.append(f"{refused.message}; {refused.hint}")
            return stream

    async def _updated(self, args: tuple[str, ...], on_step: Progress | None) -> tuple[Stream, tuple[str, ...]]:
        """A command that changes resources, shown step by step by a task of its own: a broken display stops no update."""
        steps: asyncio.Queue[EngineStep | None] = asyncio.Queue()
        display = asyncio.create_task(_show(steps, on_step))
        try:
            try:
                stream = await self._streamed(args, self.limits.update_s, steps)
            except Locked as exc:
                if exc.details.get("reason") == CONFLICT:  # Pulumi Cloud says that, and elsewhere by whom
                    raise held_by(exc, (await self._finished(("stack",))).stdout) from exc
                if not _are_dead(exc.details.get("holders") or ()):
                    raise
                await self.cancel()  # an engine of this machine that was killed holds nothing any more
                stream = await self._streamed(args, self.limits.update_s, steps)
        finally:
            steps.put_nowait(None)
            await asyncio.wait({display})
        failure = display.exception()
        notes = () if failure is None else (f"the display of the update failed: {type(failure).__name__}: {failure}",)
        return stream, notes

    async def _streamed(
        self, args: tuple[str, ...], limit_s: float, steps: asyncio.Queue[EngineStep | None] | None = None
    ) -> Stream:
        stream = Stream(self.hide)

        def take(line: str) -> None:
            step = stream.take(line)
            if step is not None and steps is not None:
                steps.put_nowait(step)

        mutates = steps is not None
        call = self._call(args, limit_s, changes=self.place.stack if mutates else None)
        try:
            finished = await self._ran(call, take)
        except asyncio.CancelledError:
            if mutates:
                await asyncio.shield(self._freed(call, stream))
            raise
        if finished.timed_out:
            if mutates:
                await self._freed(call, stream)
            raise timed_out(self.place, args[0], limit_s, finished.stderr, mutates=mutates)
        if finished.code < 0 and mutates and stream.begun:
            await self.cancel()  # our own child is dead, and it held the lock
        if finished.code and args[0] == "preview" and stream.refusals() and stream.result is not None:
            return stream  # whole, and the caller says which policies are in the way
        if finished.code:
            said = "\n".join([finished.stderr, *(() if stream.begun else stream.garbage)])
            raise self._failure(args[0], finished.code, said, stream)
        if stream.result is None:
            raise BadResponse(
                f"{self.place.stack}: pulumi {args[0]} ended without a summary, so what it saw may not be all",
                hint="run the command again; if it stays, run: sophia doctor",
            )
        return stream

    def _failure(self, what: str, code: int, stderr: str, stream: Stream) -> SophiaError:
        error = explained(self.place, what, code, stderr, stream.diagnostics, stream.violations)
        error.details["done"] = sum(step.done or step.failed for step in fold(stream.steps))
        return error

    async def _freed(self, call: Call, stream: Stream) -> None:
        """Take away the lock of our own update after it had to be killed: it held the stack, so no other update did."""
        if call.killed.is_set() and stream.begun:
            await self.cancel()

    async def _run(
        self, args: tuple[str, ...], limit_s: float, stdin: str | None = None, *, needs_stack: bool = True
    ) -> Finished:
        call = self._call(args, limit_s, stdin, needs_stack=needs_stack)
        return self._checked(await self._ran(call), " ".join(args[:2]), limit_s)

    async def _finished(self, args: tuple[str, ...]) -> Finished:
        return await self._ran(self._call(args, self.limits.command_s))

    async def _ran(self, call: Call, on_line: Callable[[str], None] | None = None) -> Finished:
        try:
            finished = await self.cli.run(call, on_line)
            return replace(finished, stderr=hidden(finished.stderr, self.hide))
        except OSError as exc:
            if isinstance(exc, FileNotFoundError) and self.cwd.is_dir():
                raise missing_cli(self.place) from exc
            raise not_runnable(self.place, exc.strerror or str(exc)) from exc

    def _checked(self, finished: Finished, what: str, limit_s: float | None = None) -> Finished:
        if finished.timed_out:
            limit_s = self.limits.command_s if limit_s is None else limit_s
            raise timed_out(self.place, what, limit_s, finished.stderr, mutates=False)
        if finished.code:
            raise explained(self.place, what, finished.code, finished.stderr or finished.stdout)
        return finished

    def _call(
        self,
        args: tuple[str, ...],
        limit_s: float,
        stdin: str | None = None,
        *,
        needs_stack: bool = True,
        changes: str | None = None,
    ) -> Call:
        stack = ("--stack", self.place.stack) if needs_stack else ()
        whole = (*args, *stack, "--non-interactive", "--color", "never")
        return Call(whole, self.cwd, self.environment, limit_s, stdin, changes)

    def _json(self, finished: Finished, what: str, kind: type = dict) -> Any:
        try:
            data = json.loads(finished.stdout)
        except ValueError as exc:
            raise BadResponse(f"{self.place.stack}: pulumi {what} printed no JSON", hint="run: sophia doctor") from exc
        if not isinstance(data, kind):
            raise BadResponse(f"{self.place.stack}: pulumi {what} printed an unknown form of JSON")
        return data

    def elsewhere(self, cwd: Path, environment: Mapping[str, str]) -> Engine:
        """The same engine in another folder and under other variables."""
        return replace(self, cwd=cwd, environment={**self.environment, **environment})


def _update(entry: Mapping[str, Any]) -> Update:
    """One entry of `pulumi stack history --json` (Pulumi, `UpdateInfo`). Raises what a missing or odd field raises."""
    return Update(
        version=int(entry.get("version", 0)),
        kind=str(entry.get("kind", "")),
        result=str(entry.get("result", "")),
        started=_moment(entry["startTime"]),
        ended=_moment(entry["endTime"]) if entry.get("endTime") else None,
        message=str(entry.get("message", "")),
        changes=dict(entry.get("resourceChanges") or {}),
        environment={str(name): str(value) for name, value in (entry.get("environment") or {}).items()},
    )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


async def _show(steps: asyncio.Queue[EngineStep | None], on_step: Progress | None) -> None:
    while (step := await steps.get()) is not None:
        if on_step is not None:
            on_step(step)


def _are_dead(holders: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every holder of a lock was this user's process on this machine, and is gone (a file backend names them)."""
    try:
        own = f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return False
    return bool(holders) and all(one["by"] == own and not is_alive(one["pid"]) for one in holders)


def _message(message: str) -> tuple[str, ...]:
    return ("--message", message) if message else ()
