"""The composition root: the only place that wires ports to providers, and only when they are needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.certificate_wiring import certificate_targets, is_chosen, issues_certificates, say_left_out
from sophia_cli.cli.clock import SystemClock
from sophia_cli.cli.environments import load_settings
from sophia_cli.cli.options import Common
from sophia_cli.cli.redaction import learn
from sophia_cli.cli.session import Session, uses_sandbox
from sophia_cli.cli.signals import SignalGuard
from sophia_cli.cli.state import certificate_store, documents_at, seals_of, state_dir, state_place
from sophia_cli.core.plan import zone_target
from sophia_cli.core.settings import DesiredZone, Settings
from sophia_cli.flows.plan import chosen

if TYPE_CHECKING:
    from sophia_cli.esc.environment import Environment
    from sophia_cli.sandbox import Sandbox


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
