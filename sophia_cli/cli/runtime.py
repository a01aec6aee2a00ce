"""The composition root: the only place that wires ports to providers, and only when they are needed."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.clock import SystemClock, new_run_id
from sophia_cli.cli.environments import cloud_address, environment_path, load_settings
from sophia_cli.cli.options import Common
from sophia_cli.cli.redaction import learn
from sophia_cli.cli.signals import SignalGuard
from sophia_cli.core.errors import InvalidEnvironment
from sophia_cli.core.history import AuditEvent
from sophia_cli.core.plan import Plan, zone_target
from sophia_cli.core.ports import EnvironmentFile, Store, TargetPort
from sophia_cli.core.settings import Settings
from sophia_cli.flows.apply import Ground
from sophia_cli.flows.events import Stream
from sophia_cli.flows.plan import chosen

if TYPE_CHECKING:
    from sophia_cli.esc.environment import Environment
    from sophia_cli.providers.namecheap.budget import Budget
    from sophia_cli.providers.namecheap.client import NamecheapClient
    from sophia_cli.sandbox import Sandbox


@dataclass
class Session:
    """What one command works with: the environment, the state, and the ports to its targets."""

    common: Common
    command: str
    clock: SystemClock
    guard: SignalGuard
    store: Store
    state: Path
    place: str | Path
    settings: Settings
    environment: Environment | None = None
    client: NamecheapClient | None = None
    budget: Budget | None = None
    targets: dict[str, TargetPort] = field(default_factory=dict)
    file: EnvironmentFile | None = None
    sandbox: Sandbox | None = None

    def stream(self) -> Stream:
        """The stream of events: the audit log first, then the display."""
        return Stream(actor(), self.clock, (self.store.audit.append, self._display))

    async def _display(self, event: AuditEvent) -> None:
        if self.common.is_quiet:
            return
        from sophia_cli.output.runs import progress_line

        line = progress_line(event)
        if line is not None:
            print(line, file=sys.stderr, flush=True)

    async def reload(self) -> None:
        """Evaluate the environment again: its file was changed since."""
        self.environment, settings = await load_settings(self.common)
        self.settings = chosen(settings, self.common.target or ())

    async def cost(self, plan: Plan) -> tuple[int, float]:
        """The provider calls that applying a plan takes, and the seconds the shared rate budget makes them wait."""
        from sophia_cli.providers.namecheap_zone import calls_for

        calls = sum(calls_for(plan.of(target)) for target in plan.touched() if target in self.targets)
        return calls, 0.0 if self.budget is None or not calls else await self.budget.wait_for(calls)

    def ground(self) -> Ground:
        """What the apply flow stands on."""
        targets: dict[str, TargetPort] = dict(self.targets)
        if self.file is not None:
            targets[self.file.id] = self.file
        client = self.client
        return Ground(
            store=self.store,
            targets=targets,
            clock=self.clock,
            stream=self.stream(),
            guard=self.guard,
            new_run_id=lambda: new_run_id(self.clock),
            command=self.command,
            wait_s=self.common.wait,
            calls=(lambda: 0) if client is None else (lambda: client.calls),
        )


def actor() -> str:
    """Who acts, for the audit log: `user@host`, or the CI's actor."""
    user = os.environ.get("GITHUB_ACTOR")
    if user is None:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def state_dir(common: Common, environment_file: str | None) -> Path:
    """The local part of the state: `--state DIR`, else `.sophia/` beside the environment file, else the user's."""
    from sophia_cli.store.open import is_url

    if common.state is not None and not is_url(common.state):
        return Path(common.state)
    if environment_file is not None:
        return Path(environment_file).absolute().parent / ".sophia"
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "sophia"


def state_place(common: Common, local: Path) -> str | Path:
    """Where the state is kept: a server that a team shares (`--state redis://...`), else the local directory."""
    from sophia_cli.store.open import is_url

    return common.state if common.state is not None and is_url(common.state) else local


@contextlib.asynccontextmanager
async def session(common: Common, command: str) -> AsyncIterator[Session]:
    """A command's session: environment, state, provider client and targets, closed in the end."""
    environment, settings = await load_settings(common)
    async with connected(common, command, chosen(settings, common.target or ()), environment.file) as found:
        found.environment = environment
        yield found


@contextlib.asynccontextmanager
async def connected(
    common: Common, command: str, settings: Settings, file: Path | str | None
) -> AsyncIterator[Session]:
    """A session over settings that are already there."""
    from sophia_cli.store.open import open_state, secrets_of_state

    secrets = {secret.get_secret_value() for secret in settings.secrets}
    addresses = {
        row.record.value for zone in settings.zones for row in zone.records if row.record.type in ("A", "AAAA")
    }
    clock = SystemClock()
    state = state_dir(common, None if file is None else str(file))
    place = state_place(common, state)
    learn(secrets | set(secrets_of_state(place)), addresses)
    store = open_state(place, clock, state)
    found = Session(common, command, clock, SignalGuard(), store, state, place, settings)
    with found.guard.installed():
        async with contextlib.AsyncExitStack() as stack:
            await _connect(found, stack)
            yield found


async def _connect(found: Session, stack: contextlib.AsyncExitStack) -> None:
    """Make the client and one port a target. Nothing is sent yet."""
    from sophia_cli.providers.namecheap.budget import SharedBudget
    from sophia_cli.providers.namecheap.client import NamecheapClient
    from sophia_cli.providers.namecheap.credentials import credentials_of, endpoint_of, is_loopback
    from sophia_cli.providers.namecheap_zone import NamecheapZone
    from sophia_cli.providers.nameservers import NameServers
    from sophia_cli.store.open import open_ledger

    settings = found.settings
    given: tuple[str, ...] = ()
    if settings.zones:
        if uses_sandbox(found.common, settings):
            found.sandbox = stack.enter_context(start_sandbox(found.state, settings))
            settings = _on_sandbox(settings, found.sandbox)
            given = (found.sandbox.dns,)
        endpoint, credentials = endpoint_of(settings.namecheap), credentials_of(settings.namecheap, os.environ)
        if not is_loopback(endpoint):
            account = f"{endpoint} {credentials.username.get_secret_value()}"
            found.budget = SharedBudget(open_ledger(found.place, account, found.clock))
        client = NamecheapClient(credentials, endpoint, budget=found.budget)
        found.client = await stack.enter_async_context(client)
        for zone in settings.zones:
            witness = NameServers(given or zone.nameservers, found.clock)
            found.targets[zone_target(zone.name)] = NamecheapZone(zone.name, client, witness, found.clock)
    if settings.writable is not None:
        from sophia_cli.esc.target import EnvironmentFileTarget
        from sophia_cli.store.directory import replace_text

        found.file = EnvironmentFileTarget(settings.environment, Path(settings.writable), found.clock, replace_text)


def uses_sandbox(common: Common, settings: Settings) -> bool:
    """Whether the provider is the embedded one."""
    return common.sandbox or settings.provider == "sandbox"


def start_sandbox(state: Path, settings: Settings) -> contextlib.AbstractContextManager[Sandbox]:
    """The embedded Namecheap, whose data lies in the state directory and whose account owns the environment's domains."""
    from sophia_cli.sandbox import running

    folder = state / "sandbox"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return running(folder / "account.json", domains=[zone.name for zone in settings.zones])


def _on_sandbox(settings: Settings, sandbox: Sandbox) -> Settings:
    from pydantic import SecretStr

    from sophia_cli.core.settings import Namecheap

    provider = Namecheap(
        api_user=SecretStr(sandbox.api_user),
        api_key=SecretStr(sandbox.api_key),
        username=SecretStr(sandbox.username),
        endpoint=sandbox.endpoint,
        client_ips={"fallback": "127.0.0.1"},
    )
    return replace(settings, namecheap=provider)


def wants_colour(common: Common, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stdout is a terminal that should get colours (NO_COLOR, CLICOLOR_FORCE)."""
    if common.no_color or environ.get("NO_COLOR"):
        return False
    return environ.get("CLICOLOR_FORCE", "0") != "0" or (sys.stdout.isatty() and environ.get("TERM") != "dumb")


def may_ask(common: Common) -> bool:
    """Whether a person can be asked: a terminal on both sides, and no `--no-input`."""
    return not common.no_input and sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(frozen=True, slots=True)
class LocalState:
    """The state alone, for commands that need no provider."""

    root: Path
    store: Store
    stream: Stream


def local_state(common: Common, *, strict: bool = False) -> LocalState:
    """The state of the environment a command means, without evaluating it; the user's own when there is none.

    Raises `InvalidEnvironment` when several files could be meant, and, with `strict`, when the named file is not there.
    """
    file: str | None = None
    if cloud_address(common.env) is None:
        try:
            path = environment_path(common)
            if strict and not path.is_file():
                raise InvalidEnvironment(f"{path}: there is no such environment file", hint="name one with -e FILE")
            file = str(path)
        except InvalidEnvironment as exc:
            if strict or exc.details.get("candidates"):
                raise
    from sophia_cli.store.open import open_state, secrets_of_state

    clock, root = SystemClock(), state_dir(common, file)
    place = state_place(common, root)
    learn(set(secrets_of_state(place)))
    store = open_state(place, clock, root)
    return LocalState(root, store, Stream(actor(), clock, (store.audit.append,)))
