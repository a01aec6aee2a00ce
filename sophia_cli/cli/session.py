"""What one command works with: a value that the composition root fills. Makes no client and no target."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.actor import actor, origin
from sophia_cli.cli.clock import SystemClock, new_run_id
from sophia_cli.cli.environments import load_settings
from sophia_cli.cli.options import Common
from sophia_cli.cli.progress import Display
from sophia_cli.cli.signals import SignalGuard
from sophia_cli.core.plan import Plan
from sophia_cli.core.ports import EnvironmentFile, Store, TargetPort
from sophia_cli.core.rotation import Seals
from sophia_cli.core.settings import Settings
from sophia_cli.flows.events import Stream
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import chosen

if TYPE_CHECKING:
    from sophia_cli.core.notifications import Notifier
    from sophia_cli.core.stack_steps import EngineStep
    from sophia_cli.esc.environment import Environment
    from sophia_cli.flows.certificate import CertificateTarget
    from sophia_cli.flows.counsel import Counsel
    from sophia_cli.flows.notify import Alerts
    from sophia_cli.providers.namecheap.budget import Budget
    from sophia_cli.providers.namecheap.client import NamecheapClient
    from sophia_cli.providers.pulumi.target import StackTarget
    from sophia_cli.sandbox import Sandbox
    from sophia_cli.store.documents import Documents


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


def uses_sandbox(common: Common, settings: Settings) -> bool:
    """Whether the provider is the embedded one."""
    return common.sandbox or settings.provider == "sandbox"


def draws(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr is a terminal on which a line may be drawn over."""
    return sys.stderr.isatty() and environ.get("TERM") != "dumb"


def may_ask(common: Common) -> bool:
    """Whether a person can be asked: a terminal on both sides, and no `--no-input`."""
    return not common.no_input and sys.stdin.isatty() and sys.stderr.isatty()
