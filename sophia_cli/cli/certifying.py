"""From a certificate's change to an exit code: the same plan, questions and report as every command that writes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from sophia_cli.cli.options import Common
from sophia_cli.cli.printing import note
from sophia_cli.core.errors import UsageError

if TYPE_CHECKING:
    from sophia_cli.cli.runtime import Session
    from sophia_cli.core.ports import Part
    from sophia_cli.flows.certificate import CertificateTarget


@contextlib.asynccontextmanager
async def certificate_session(common: Common, name: str) -> AsyncIterator[tuple[Session, CertificateTarget]]:
    """A session with the environment's certificate, after interrupted runs were settled and finished.

    Raises `UsageError` when the environment asks for none.
    """
    from sophia_cli.cli.applying import settle, take_approval
    from sophia_cli.cli.runtime import session
    from sophia_cli.flows.issue import finish

    async with session(common, name) as found:
        target = found.certificate
        if target is None:
            raise UsageError(
                f"the environment {found.settings.environment} asks for no certificate that can be had here",
                hint="name ssl.domains and dns.domain; with --sandbox, ssl.directory has to be on loopback",
            )
        found.targets[target.id] = target
        await settle(found)
        await take_approval(found, common.approval)
        for problem in await finish(target.name, target.issuer):
            note(common, problem)
        yield found, target


async def carried_out(found: Session, target: CertificateTarget, part: Part, *, again: str | None = None) -> int:
    """Judge, ask, apply and report one certificate's change. With `again`, one that is not due is renewed all the same."""
    from sophia_cli.cli.applying import carry_out
    from sophia_cli.flows.certificate import state_in
    from sophia_cli.flows.plan import assemble, judged, parsed_overrides, policy_of

    if not part.changes and again is not None:
        part = replace(part, changes=(target.renewal(state_in(part.snapshot), again, source="user"),))
    for line in part.notes:
        note(found.common, line)
    overrides = parsed_overrides(found.common.override or ())
    now = found.clock.now()
    plan = assemble(found.settings, [], part.changes, [], now, parts=[part])
    policy = await policy_of(found.settings, found.store, overrides)
    return await carry_out(found, await judged(plan, policy, [], found.store, now))
