"""The composition root: the only place that wires ports to providers, and only when they are needed."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.certificate_wiring import certificate_targets, is_chosen, issues_certificates, say_left_out
from sophia_cli.cli.clock import SystemClock, new_run_id
from sophia_cli.cli.environments import cloud_address, environment_path, load_settings
from sophia_cli.cli.options import Common
from sophia_cli.cli.progress import Display
from sophia_cli.cli.redaction import learn
from sophia_cli.cli.signals import SignalGuard
from sophia_cli.core.errors import InvalidEnvironment
from sophia_cli.core.plan import Plan, zone_target
from sophia_cli.core.ports import EnvironmentFile, Store, TargetPort
from sophia_cli.core.rotation import Rotations, Seals
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.events import Stream
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import chosen

if TYPE_CHECKING:
    from sophia_cli.core.issuance import CertificateStore, Keepers, Renewals
    from sophia_cli.core.learning import Lessons
    from sophia_cli.core.notifications import Notifier
    from sophia_cli.core.stack_steps import EngineStep
    from sophia_cli.core.trends import Measurements
    from sophia_cli.esc.environment import Environment
    from sophia_cli.flows.certificate import CertificateTarget
    from sophia_cli.flows.counsel import Counsel
    from sophia_cli.flows.notify import Alerts
    from sophia_cli.providers.namecheap.budget import Budget
    from sophia_cli.providers.namecheap.client import NamecheapClient
    from sophia_cli.providers.pulumi.target import StackTarget
    from sophia_cli.sandbox import Sandbox
    from sophia_cli.store.documents import Documents
    from sophia_cli.store.secrets import FileSeals


@dataclass
class Session:
    """What one command works with: the environment, the state, and the ports to its targets."""

    common: Common
    command: str
    clock: SystemClock
    guard: SignalGuard
    store: Store
    documents: Documents
    state: Path
    place: str | Path
    settings: Settings
    environment: Environment | None = None
    client: NamecheapClient | None = None
    budget: Budget | None = None
    targets: dict[str, TargetPort] = field(default_factory=dict)
    file: EnvironmentFile | None = None
    sandbox: Sandbox | None = None
    seals: Seals | None = None
    """Keyed digests of secret values, for the edits of the environment's file that rotations make."""
    whole: Settings | None = None
    beside: dict[str, TargetPort] = field(default_factory=dict)
    """Zones that `--target` left out and that a challenge may have to be written to."""
    certificates: tuple[CertificateTarget, ...] = ()
    stack: StackTarget | None = None
    display: Display = field(default_factory=lambda: Display(bar=draws()))
    closing: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _counsel: Counsel | None = None

    def stream(self) -> Stream:
        """The stream of events: the audit log first, then the display."""
        if self.common.is_quiet:
            return Stream(actor(), self.clock, (self.store.audit.append,), origin=origin(os.environ))
        return Stream(actor(), self.clock, (self.store.audit.append, self.display), origin=origin(os.environ))

    async def reload(self) -> None:
        """Evaluate the environment again: its file was changed since."""
        self.environment, settings = await load_settings(self.common)
        self.settings = chosen(settings, self.common.target or ())

    async def cost(self, plan: Plan) -> tuple[int, float]:
        """The provider calls that applying a plan takes, and the seconds the shared rate budget makes them wait."""
        from sophia_cli.providers.namecheap_zone import calls_for

        zones = [target for target in plan.touched() if target.startswith("dns:")]
        calls = sum(calls_for(plan.of(target), beside_others=len(plan.touched()) > 1) for target in zones)
        return calls, 0.0 if self.budget is None or not calls else await self.budget.wait_for(calls)

    def on_step(self, step: EngineStep) -> None:
        """Show one step of a stack's update; the engine's own history records it."""
        if not self.common.is_quiet:
            self.display.step(step)

    def counsel(self) -> Counsel | None:
        """The language model of the environment, wired when first asked for; None: none is set up, or `--no-ai`."""
        from sophia_cli.cli.redaction import secrets as known
        from sophia_cli.flows.counsel import Counsel
        from sophia_cli.providers.model.client import HostedModel
        from sophia_cli.reasoning.veil import Veil
        from sophia_cli.store.directory import Directory
        from sophia_cli.store.models import FileModelMemory

        wanted = self.settings.intelligence.model
        if wanted is None or self.common.ai is False or not self.settings.intelligence.enabled:
            return None
        if self._counsel is None:
            veil, memory = Veil(known()), FileModelMemory(Directory(self.state))
            model = HostedModel(
                wanted.base_url,
                wanted.name,
                veil.hide,
                memory,
                self.clock,
                api_key=wanted.api_key,
                timeout_s=wanted.timeout_s,
                max_cost_usd=wanted.max_cost_usd,
            )
            self.closing.push_async_callback(model.close)
            self._counsel = Counsel(model, memory, veil, self.stream())
        return self._counsel

    def alerts(self) -> Alerts:
        """Who is told what happens, and the memory of what they were told."""
        from sophia_cli.flows.notify import Alerts
        from sophia_cli.store.told import StoredTold

        monitoring = (self.whole or self.settings).monitoring
        notifiers: list[Notifier] = []
        if monitoring.alert_email is not None:
            from sophia_cli.providers.notify.smtp import SmtpNotifier

            notifiers.append(SmtpNotifier(monitoring.smtp, monitoring.alert_email))
        if monitoring.webhook is not None:
            from sophia_cli.providers.notify.webhook import WebhookNotifier

            notifiers.append(WebhookNotifier(monitoring.webhook, monitoring.webhook_form))
        return Alerts(notifiers, StoredTold(self.documents), self.clock, self.stream())

    def issuing_ground(self) -> Ground:
        """What challenge records are written on: every zone of the environment, whatever `--target` says."""
        found = self.ground()
        return replace(found, targets={**self.beside, **found.targets})

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


def origin(environ: Mapping[str, str]) -> dict[str, str]:
    """Where this process was started from, for the audit log: the address of an ssh login, the run of a CI job."""
    found: dict[str, str] = {}
    address = environ.get("SSH_CONNECTION", "").partition(" ")[0]
    if re.fullmatch(r"[0-9A-Fa-f:.]{2,45}", address):
        found["address"] = address
    repository, run = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    if re.fullmatch(r"[\w.-]{1,100}/[\w.-]{1,100}", repository) and run.isascii() and run.isdigit():
        found["ci"] = f"{repository}#{run}"
    return found


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
    some = chosen(settings, common.target or ())
    async with connected(common, command, some, environment.file, whole=settings, environment=environment) as found:
        yield found


@contextlib.asynccontextmanager
async def connected(
    common: Common,
    command: str,
    settings: Settings,
    file: Path | str | None,
    whole: Settings | None = None,
    environment: Environment | None = None,
) -> AsyncIterator[Session]:
    """A session over settings that are already there; `whole` are those before `--target` left some out."""
    from sophia_cli.store.nested_locks import NestedLocks
    from sophia_cli.store.open import open_state, secrets_of_state

    hidden = {secret.get_secret_value() for secret in settings.secrets}
    addresses = {
        row.record.value for zone in settings.zones for row in zone.records if row.record.type in ("A", "AAAA")
    }
    clock = SystemClock()
    state = state_dir(common, None if file is None else str(file))
    place = state_place(common, state)
    learn(hidden | set(secrets_of_state(place)), addresses)
    store = open_state(place, clock, state)
    store = replace(store, locks=NestedLocks(store.locks))
    found = Session(
        *(common, command, clock, SignalGuard(), store, documents_at(common, state), state, place, settings),
        environment,
        whole=whole or settings,
    )
    with found.guard.installed():
        async with contextlib.AsyncExitStack() as stack:
            await _connect(found, stack)
            stack.callback(found.display.close)
            stack.push_async_callback(found.closing.aclose)
            yield found


async def _connect(found: Session, stack: contextlib.AsyncExitStack) -> None:
    """Make the client and one port a target. Nothing is sent yet."""
    from sophia_cli.providers.namecheap.budget import SharedBudget
    from sophia_cli.providers.namecheap.client import NamecheapClient
    from sophia_cli.providers.namecheap.credentials import credentials_of, endpoint_of, is_loopback
    from sophia_cli.providers.namecheap_delegation import NamecheapDelegation
    from sophia_cli.providers.namecheap_zone import NamecheapZone
    from sophia_cli.providers.nameservers import NameServers
    from sophia_cli.store.open import open_ledger

    settings = found.settings
    given: tuple[str, ...] = ()
    zones = _zones_to_reach(found)
    if zones:
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
        for zone in zones:
            witness = NameServers(given or zone.nameservers, found.clock)
            place = found.targets if settings.zone(zone.name) is not None else found.beside
            place[zone_target(zone.name)] = NamecheapZone(zone.name, client, witness, found.clock)
            if place is found.beside:
                continue
            if zone.delegation is not None:
                port = NamecheapDelegation(zone.name, zone.delegation, client, found.clock)
                found.targets[port.id] = port
    if settings.writable is not None:
        from sophia_cli.esc.target import EnvironmentFileTarget
        from sophia_cli.store.directory import replace_text

        found.seals = seals_of(found.state)
        found.file = EnvironmentFileTarget(
            settings.environment, Path(settings.writable), found.clock, replace_text, found.seals
        )
    if settings.pulumi.stacks:
        from sophia_cli.cli.stacks import add_stacks

        add_stacks(found)
    if issues_certificates(found):
        found.certificates = certificate_targets(
            found, stack, given, certificate_store(found.whole or settings, found.state)
        )
        found.targets |= {one.id: one for one in found.certificates if is_chosen(found.common, one.id)}
    else:
        say_left_out(found)


def _zones_to_reach(found: Session) -> tuple[DesiredZone, ...]:
    """The zones of this command, and those that `--target` left out where a challenge may have to be written to them."""
    return found.settings.zones if found.whole is None or not issues_certificates(found) else found.whole.zones


def certificate_root(settings: Settings, state: Path) -> Path:
    """Where certificates are kept: `ssl.store`, from the environment's folder on, else in the local state."""
    if settings.ssl.store is None:
        return state / "certificates"
    return (
        state.parent if settings.writable is None else Path(settings.writable).absolute().parent
    ) / settings.ssl.store


def certificate_store(settings: Settings, state: Path) -> CertificateStore:
    """The certificates on disk."""
    from sophia_cli.store.certificates import CertificateFiles

    return CertificateFiles(certificate_root(settings, state))


def documents_at(common: Common, local: Path) -> Documents:
    """The small documents of the state, on the server where it is shared. Opens nothing before it is used."""
    from sophia_cli.store.open import open_documents

    return open_documents(state_place(common, local))


def rotations_of(documents: Documents, environment: str) -> Rotations:
    """What the state knows of an environment's secrets."""
    from sophia_cli.store.secrets import StoredRotations

    return StoredRotations(documents, environment)


def keepers_of(documents: Documents, place: str | Path) -> Keepers | None:
    """Who keeps which certificate; None where the state is this machine's alone, and so are the certificates."""
    from sophia_cli.store.keepers import StoredKeepers
    from sophia_cli.store.open import is_url

    return StoredKeepers(documents) if is_url(place) else None


def renewals_of(documents: Documents) -> Renewals:
    """Schedules of certificates, and what was spent at their authorities."""
    from sophia_cli.store.renewals import StoredRenewals

    return StoredRenewals(documents)


def seals_of(state: Path) -> FileSeals:
    """Keyed digests of secret values; their key stays in the local part of the state."""
    from sophia_cli.store.directory import Directory
    from sophia_cli.store.secrets import FileSeals

    return FileSeals(Directory(state))


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


def measurements_of(found: Session) -> Measurements:
    """Measurements of endpoints and name servers."""
    from sophia_cli.store.measurements import StoredMeasurements

    return StoredMeasurements(found.documents)


def lessons_of(documents: Documents) -> Lessons:
    """People's answers to proposals."""
    from sophia_cli.store.learning import StoredLessons

    return StoredLessons(documents)


def draws(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr is a terminal on which a line may be drawn over."""
    return sys.stderr.isatty() and environ.get("TERM") != "dumb"


def may_ask(common: Common) -> bool:
    """Whether a person can be asked: a terminal on both sides, and no `--no-input`."""
    return not common.no_input and sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(frozen=True, slots=True)
class LocalState:
    """The state alone, for commands that need no provider."""

    root: Path
    shown: str
    """Where the state is, as it may be printed."""
    store: Store
    documents: Documents
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
    from sophia_cli.store.open import open_state, secrets_of_state, shown_state

    clock, root = SystemClock(), state_dir(common, file)
    place = state_place(common, root)
    learn(set(secrets_of_state(place)))
    store = open_state(place, clock, root)
    stream = Stream(actor(), clock, (store.audit.append,), origin=origin(os.environ))
    return LocalState(root, shown_state(place), store, documents_at(common, root), stream)
