"""From certificates' changes to an exit code: the same plan, questions and report as every command that writes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sophia_cli.cli.options import Common
from sophia_cli.cli.printing import note
from sophia_cli.core.errors import UsageError

if TYPE_CHECKING:
    from sophia_cli.cli.session import Session
    from sophia_cli.core.ports import Part
    from sophia_cli.flows.certificate import CertificateTarget

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Certificates of the environment (default: all).")
]


def named(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The certificates that were named, as their targets call them. Raises `UsageError` for one that is not there."""
    found = []
    for text in names:
        name = text.removeprefix("cert:").rstrip(".").lower()
        if name not in known:
            there = ", ".join(known) or "none"
            raise UsageError(f"{text!a} is no certificate of this environment", hint=f"it has: {there}")
        found.append(name)
    return list(dict.fromkeys(found))


@contextlib.asynccontextmanager
async def certificates_session(
    common: Common, command: str, names: Sequence[str] = ()
) -> AsyncIterator[tuple[Session, tuple[CertificateTarget, ...]]]:
    """A session with certificates of the environment, after interrupted runs were settled and finished.

    Raises `UsageError` when the environment asks for none, or for none of these.
    """
    from sophia_cli.cli.applying import settle, take_approval
    from sophia_cli.cli.certificate_wiring import is_chosen
    from sophia_cli.cli.runtime import session
    from sophia_cli.flows.issue import finish

    async with session(common, command) as found:
        if not found.certificates:
            raise UsageError(
                f"the environment {found.settings.environment} asks for no certificate that can be had here",
                hint="name ssl.domains and dns.domain; with --sandbox, ssl.directory has to be on loopback",
            )
        wanted = named(names, [target.name for target in found.certificates]) if names else None
        targets = tuple(
            target
            for target in found.certificates
            if (is_chosen(common, target.id) if wanted is None else target.name in wanted)
        )
        if not targets:
            raise UsageError("--target leaves no certificate", hint="sophia cert list")
        found.targets |= {target.id: target for target in targets}
        await settle(found)
        await take_approval(found, common.approval)
        for target in targets:
            for problem in await finish(target.name, target.issuer):
                note(common, problem)
        yield found, targets


def the_only(targets: Sequence[CertificateTarget]) -> CertificateTarget:
    """The certificate a command for one means. Raises `UsageError` when it could be several."""
    if len(targets) > 1:
        there = ", ".join(target.name for target in targets)
        raise UsageError("the environment has several certificates: name the one", hint=f"one of: {there}")
    return targets[0]


async def carried_out(found: Session, parts: Sequence[tuple[CertificateTarget, Part]], *, again: bool = False) -> int:
    """Judge, ask, apply and report certificates' changes. With `again`, those that are not due are renewed all the same."""
    from sophia_cli.cli.applying import carry_out
    from sophia_cli.flows.certificate import state_in
    from sophia_cli.flows.plan import assemble, judged, parsed_overrides, policy_of

    made = []
    for target, part in parts:
        if not part.changes and again:
            renewal = target.renewal(state_in(part.snapshot), "asked for", source="user")
            part = replace(part, changes=(renewal,))
        made.append(part)
        for line in part.notes:
            note(found.common, line)
    overrides = parsed_overrides(found.common.override or ())
    now = found.clock.now()
    plan = assemble(found.settings, [], [change for part in made for change in part.changes], [], now, parts=made)
    policy = await policy_of(found.settings, found.store, overrides)
    return await carry_out(found, await judged(plan, policy, [], found.store, now))
