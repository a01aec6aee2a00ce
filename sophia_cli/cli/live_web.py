"""Live web for `sophia analyze`: who asks web servers, and where the times it took are kept. Judges nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sophia_cli.core.web_facts import Fetch, Visits, host_of

if TYPE_CHECKING:
    from sophia_cli.checks.facts import Facts
    from sophia_cli.cli.live_dns import Live
    from sophia_cli.cli.session import Session
    from sophia_cli.core.ports import Clock
    from sophia_cli.core.trends import Measurements
    from sophia_cli.providers.web_probe import WebProbe

AGENTS = frozenset({"security", "performance"})  # whose checks look at answers of web servers
POLICY_AGENTS = frozenset({"ssl"})  # whose checks of mail servers hang on the MTA-STS policy


@dataclass(frozen=True, slots=True)
class LiveWeb:
    """A collector that asks web servers. On a sandbox it asks what lies on loopback and nothing else."""

    probe: WebProbe
    clock: Clock
    measurements: Measurements | None = None
    boxed: bool = False
    policy_only: bool = False
    """Only the MTA-STS policy is asked for, and no times are kept."""

    async def visit_all(self, fetches: tuple[Fetch, ...]) -> Visits:
        """What each question showed."""
        wanted = [fetch for fetch in fetches if not self.boxed or _is_loopback(fetch.url)]
        return await self.probe.visit_all(wanted)

    async def collect(self, facts: list[Facts]) -> list[Facts]:
        """The facts with what web servers answered, and with earlier measurements where there is a state."""
        from sophia_cli.checks.web import policy_wish, wishes
        from sophia_cli.flows.live_web import with_history, with_web

        known = await with_web(facts, self, policy_wish if self.policy_only else wishes)
        return known if self.measurements is None else await with_history(known, self.measurements, self.clock.now())


def web_collectors(
    clock: Clock, agents: Sequence[str] | None, live: Live, found: Session | None = None
) -> list[LiveWeb]:
    """The collector, unless no chosen specialist needs it. Names are looked up by the resolver that live DNS asks.

    Only what that one does not know of the configured endpoints is left to the system, which may have names of its own.
    """
    if agents is not None and not (AGENTS | POLICY_AGENTS) & set(agents):
        return []
    policy_only = agents is not None and not AGENTS & set(agents)
    from sophia_cli.cli.live_dns import is_boxed
    from sophia_cli.core.dns_facts import Question
    from sophia_cli.providers.web_probe import Resolved, WebProbe, system_addresses

    endpoints = () if found is None else found.settings.monitoring.ping_endpoints
    own = {"localhost", *(host_of(url) for url in endpoints)}

    async def addresses(host: str) -> Resolved:
        asked = (Question(host, "A"), Question(host, "AAAA"))
        answers = await live.survey.look_up(asked) if host != "localhost" else {}
        values = tuple(value for question in asked if question in answers for value in answers[question].values)
        if values:
            took_ms = [answer.rtt_ms for answer in answers.values() if answer.rtt_ms is not None]
            return Resolved(values, max(took_ms) / 1000 if took_ms else None)
        if host in own:
            return await system_addresses(host)
        raise OSError(next((answer.why for answer in answers.values() if answer.why), "it has no address"))

    probe = WebProbe(addresses)
    if found is None:
        return [LiveWeb(probe, clock, policy_only=policy_only)]
    from sophia_cli.cli.state import measurements_of

    kept = None if policy_only else measurements_of(found.documents)
    return [LiveWeb(probe, clock, kept, is_boxed(found), policy_only)]


def _is_loopback(url: str) -> bool:
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
