"""Questions put by ClientHello alone: which versions and suites an address offers, and what it sends in the clear.

Each question is a connection of its own, ended as soon as the server has chosen. Judges nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sophia_cli.core.endpoints import NOT_ASKED, VERSIONS, Result, Suite, Target, failed, passed, untested
from sophia_cli.core.errors import Unreachable
from sophia_cli.providers.tls import starttls
from sophia_cli.providers.tls.hello import PROTOCOL_VERSION, Alert, Answer, Chosen, NotTls, Question, client_hello
from sophia_cli.providers.tls.suites import MODERN, OLDER, WEAK, named
from sophia_cli.providers.tls.wire import Cut, Wire, connect

PATIENCE = 4  # time limits of a connection that a whole list of suites may take


@dataclass(frozen=True, slots=True)
class Refused:
    """The server ended it: with an alert, or by closing."""

    why: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The question could not be put, or was not answered."""

    why: str


Outcome = Chosen | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Offered:
    """What an address offers. `plain` is its whole flight in the newest version before TLS 1.3."""

    versions: Mapping[str, Result] = field(default_factory=dict)
    suites: tuple[Suite, ...] = ()
    seen: Result = NOT_ASKED
    plain: Chosen | None = None

    @property
    def is_tls(self) -> bool:
        """Whether the server chose any version at all."""
        return any(self.versions.values())


async def opened(target: Target, address: str, timeout_s: float) -> Wire:
    """A connection that stands where TLS begins. Raises what `connect` raises, and `NoStarttls`."""
    wire = await connect(address, target.port, timeout_s)
    try:
        if target.starttls == "smtp":
            await starttls.smtp(wire)
    except BaseException:
        wire.close()
        raise
    return wire


@dataclass(frozen=True, slots=True)
class Prober:
    """Asks one address of a target; `timeout_s` bounds each question."""

    target: Target
    address: str
    timeout_s: float

    async def offered(self, *, every: bool, known: str | None = None) -> Offered:
        """The versions, and the suites: all of them with `every`, else only those that should not be offered.

        `known` is the version of a handshake that came to its end, which need not be asked for again.
        """
        answers = await self._answers(None if every else known)
        versions = {version: _result(version, answers[version]) for version in VERSIONS}
        questions = _questions(versions, every=every)
        lists = await asyncio.gather(
            *(self._accepted(version, codes, answers[version]) for version, codes in questions)
        )
        gaps = [result for _, result in lists if not result]
        gaps += [untested(f"{version}: {one.why}") for version, one in versions.items() if not one.is_known]
        plain = (answers[version] for version in _older(versions))
        return Offered(
            versions,
            tuple(suite for found, _ in lists for suite in found),
            gaps[0] if gaps else passed("" if every else "only weak suites were asked for"),
            next((one for one in plain if isinstance(one, Chosen)), None),
        )

    async def _answers(self, known: str | None) -> dict[str, Outcome]:
        """What the server says to each version, in as few connections as tell it."""
        *older, newest = VERSIONS[2:]
        asked = older if known == newest else [*older, newest]
        found = dict(zip(asked, await asyncio.gather(*map(self._version, asked)), strict=True))
        found.setdefault(newest, Chosen(newest, 0))
        refusal = found["TLS 1.1"]
        newer = [
            one for version in VERSIONS[3:] if isinstance(one := found[version], Chosen) and one.version == version
        ]
        oldest = VERSIONS[:2]
        if newer and isinstance(refusal, Refused) and refusal.why == str(Alert(PROTOCOL_VERSION)):
            # A server answers with the newest version it has up to the one offered, and with this alert when it has
            # none (RFC 5246 E.1). One that speaks a newer version is not of those that stumble over a number.
            return found | dict.fromkeys(oldest, Refused(f"{refusal.why}, to TLS 1.1 and whatever is older"))
        return found | dict(zip(oldest, await asyncio.gather(*map(self._version, oldest)), strict=True))

    async def _version(self, version: str) -> Outcome:
        return await self.ask(version, tuple(MODERN if version == "TLS 1.3" else OLDER), whole=True)

    async def ask(self, version: str, suites: Sequence[int], *, whole: bool = False) -> Outcome:
        """Offer one version at most, and some suites. `whole` reads the server's flight, a stapled response included."""
        host = None if self.target.is_address else self.target.host
        answer = Answer(wants_all=whole)
        try:
            with await opened(self.target, self.address, self.timeout_s) as wire:
                await wire.send(client_hello(Question(version, suites, host, staple=whole), os.urandom))
                while not answer.is_done:
                    data = await wire.receive()
                    if not data or answer.feed(data):
                        break
        except Cut as exc:
            return self._said(answer) or Refused(exc.message)
        except (Unreachable, NotTls) as exc:
            return self._said(answer) or Unknown(str(exc))
        return self._said(answer) or Refused("the connection was closed without a word")

    def _said(self, answer: Answer) -> Outcome | None:
        outcome = answer.outcome()
        return outcome if outcome is None or isinstance(outcome, Chosen) else Refused(str(outcome))

    async def _accepted(self, version: str, codes: tuple[int, ...], known: Outcome) -> tuple[list[Suite], Result]:
        """The suites a server accepts, by offering all and taking away what it chooses until it refuses.

        `known` is its answer to the version, which named its first choice among all suites.
        """
        left = list(codes)
        found: list[Suite] = []
        if isinstance(known, Chosen) and known.suite in left:
            left.remove(known.suite)
            found.append(named(known.suite))
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE * self.timeout_s
        while left:
            if loop.time() > until:
                return found, untested(f"the list was not finished within {PATIENCE * self.timeout_s:g} s")
            answer = await self.ask(version, left)
            if isinstance(answer, Unknown):
                return found, untested(answer.why)
            if isinstance(answer, Refused):
                break
            if answer.suite not in left:  # it chose what was not offered (RFC 8446 4.1.3 forbids that)
                return found, untested(f"the server chose {named(answer.suite).name}, which was not offered")
            left.remove(answer.suite)
            found.append(named(answer.suite))
        return found, passed()


def _questions(versions: Mapping[str, Result], *, every: bool) -> list[tuple[str, tuple[int, ...]]]:
    """Which suites to ask for under which versions: TLS 1.3's, and under the newest of the others all older ones."""
    asked: list[tuple[str, tuple[int, ...]]] = []
    if every and versions["TLS 1.3"]:
        asked.append(("TLS 1.3", tuple(MODERN)))
    asked += [(version, tuple(OLDER if every else WEAK)) for version in _older(versions)[:1]]
    return asked


def _older(versions: Mapping[str, Result]) -> list[str]:
    """The versions before TLS 1.3 that are offered, newest first."""
    return [version for version in reversed(VERSIONS[:-1]) if versions[version]]


def _result(version: str, answer: Outcome) -> Result:
    """Whether a version is offered. A server that answers with another one does not offer it."""
    if isinstance(answer, Unknown):
        return untested(answer.why)
    if isinstance(answer, Refused):
        return failed(answer.why)
    return passed() if answer.version == version else failed(f"the server chose {answer.version} instead")
