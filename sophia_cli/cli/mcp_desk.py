"""The desk of `sophia mcp`: each request is one session over the usual flows. Approves nothing; writes in `apply` alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia_cli.cli.options import Common
from sophia_cli.cli.redaction import redacted
from sophia_cli.cli.runtime import session
from sophia_cli.cli.session import Session
from sophia_cli.cli.state import local_state
from sophia_cli.core.errors import ApprovalMissing, Refused, StalePlan, StateError, UsageError

if TYPE_CHECKING:
    from sophia_cli.flows.plan import Judged
    from sophia_cli.providers.mcp.desk import Sheet

FOLDER = "plans"
MOST_PLANS = 50  # kept; the oldest go first
MOST_CHANGES = 40  # of a plan that is confirmed at a client; what nobody can look through is not agreed to there
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SessionDesk:
    """Answers requests one after another, each over a fresh evaluation of the one environment the server is for."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._turn = asyncio.Lock()

    async def check(self) -> None:
        """Evaluate the environment once. Raises what is wrong with it before anything is served."""
        async with self._session(()):
            pass

    async def analyze(self, targets: Sequence[str], agents: Sequence[str]) -> Sheet:
        """The analysis of targets of the environment; names that are not in it are not looked up."""
        from sophia_cli.cli.analyze import examined

        async with self._session(targets) as found:
            analysis = await examined(found, list(agents) or None)
        return _sheet("analysis", analysis.data(), "findings")

    async def configuration(self, path: str | None) -> Sheet:
        """The evaluated values, or one of them with its sources; secrets are masked by the evaluation itself."""
        from dataclasses import asdict

        from sophia_cli.cli.environments import load_environment

        async with self._turn:
            environment = await load_environment(self._common, opened=False)
        if path is None:
            return _sheet("config", {"environment": environment.name, "values": environment.values(reveal=False)})
        steps = [asdict(step) for step in environment.explain(path)]
        if not steps:
            raise UsageError(
                f"{environment.name} has no value {path}", hint="sophia_config_show without path lists them"
            )
        return _sheet("explain", {"environment": environment.name, "path": path, "steps": steps}, "steps")

    async def zone(self, domain: str) -> Sheet:
        """The live rows of one zone of the environment."""
        from sophia_cli.core.plan import zone_target
        from sophia_cli.flows.plan import observe

        name = domain.removeprefix("dns:").rstrip(".").lower()
        async with self._session([zone_target(name)]) as found:
            if found.settings.zone(name) is None:  # a pattern is no name
                known = ", ".join(zone.name for zone in (found.whole or found.settings).zones)
                raise UsageError(f"{name} is no zone of this environment", hint=f"zones: {known or 'none'}")
            seen = await observe(found.settings, found.targets, found.store)
        zone = seen[0].zone
        rows = [record.data() for record in zone.records]
        return _sheet("zone", {"target": seen[0].target, "email_type": zone.email_type, "records": rows}, "records")

    async def tls(self, hosts: Sequence[str]) -> Sheet:
        """What port 443 of hosts shows that records of the environment's zones name; private addresses are left alone."""
        from sophia_cli.cli.cert_show import findings_of
        from sophia_cli.cli.live_dns import is_boxed, surveying
        from sophia_cli.cli.live_tls import Addresses, LiveTls
        from sophia_cli.core.endpoints import Target
        from sophia_cli.flows.plan import observe
        from sophia_cli.output.endpoints import data

        names = list(dict.fromkeys(host.rstrip(".").lower() for host in hosts))
        async with self._session(()) as found:
            zones = [seen.zone for seen in await observe(found.settings, found.targets, found.store)]
            known = {zone.fqdn(record.name).rstrip(".") for zone in zones for record in zone.records}
            for name in names:
                if name not in known:
                    raise UsageError(f"{name}: no record of this environment's zones has that name")
            async with surveying(found.clock, None, found) as live:
                look = LiveTls(found.clock, Addresses(live, None), is_boxed(found)).look
                endpoints = await look([Target(name) for name in names], frozenset())
            findings = findings_of(endpoints, found.clock.now())
        return _sheet("certs", data(endpoints, findings), "endpoints")

    async def create_plan(self, targets: Sequence[str]) -> Sheet:
        """The plan of these targets, kept in the state directory under the first twelve digits of its digest."""
        import shlex

        from sophia_cli.cli.applying import save_document
        from sophia_cli.cli.plan import planned
        from sophia_cli.output.json_v1 import envelope, plan_data

        async with self._session(targets) as found:
            judged = await planned(found)
            id = judged.plan.digest.removeprefix("sha256:")[:12]
            data = {"plan": id, "chosen": sorted(targets), **plan_data(judged.plan, judged.verdict)}
            folder = found.state / FOLDER
            with contextlib.suppress(OSError):  # said by save_document, if it matters
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = folder / f"{id}.json"
            save_document(file, envelope("plan", data))
            with contextlib.suppress(OSError):
                file.chmod(0o600)
            _forget_old(folder)
        words = ["sophia", "approve", str(file), *self._options(targets)]
        note = "It changes nothing." if judged.plan.is_empty() else f"A person approves it with: {shlex.join(words)}"
        return _sheet("plan", data, "changes", note)

    async def plan(self, id: str) -> Sheet:
        """A kept plan, as it was created."""
        return _sheet("plan", self._kept(id), "changes", "As it was created; sophia_policy_explain judges it now.")

    async def audit(self, since: str | None, until: str | None, by: str | None, run: str | None) -> Sheet:
        """Events of the log, newest first."""
        from sophia_cli.cli.audit import parsed_time
        from sophia_cli.output.json_v1 import audit_data

        start, end = parsed_time(since), parsed_time(until)
        store = local_state(self._common).store
        head, problems = await store.audit.verify()
        events = [
            event.data()
            for event in reversed(await store.audit.events())
            if (start is None or event.time >= start)
            and (end is None or event.time < end)
            and (by is None or by in event.actor)
            and (run is None or event.run == run)
        ]
        return _sheet("audit", audit_data(events, head.count, head.hash, problems), "events")

    async def policy(self, id: str | None) -> Sheet:
        """The policy in force and, with a plan, what it says of that plan now."""
        from dataclasses import asdict

        from sophia_cli.flows.plan import policy_of

        document = None if id is None else self._kept(id)
        async with self._session(() if document is None else document["chosen"]) as found:
            policy = await policy_of(found.settings, found.store)
            data: dict[str, Any] = {
                "environment": policy.environment,
                "stack": policy.stack,
                "autonomy": policy.autonomy,
                "limits": {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(policy.limits).items()},
                "frozen": sorted(policy.frozen),
            }
            if document is None:
                return _sheet("policy", data, None, "Every write that a person asks for wants at least a yes.")
            judged = await self._rebuilt(found, document)
        approved = judged.verdict.approved
        data |= {"plan": id, "digest": judged.plan.digest, "decision": judged.verdict.decision}
        data["reasons"] = [{**reason.data(), "hint": reason.hint} for reason in judged.verdict.reasons]
        data["approval"] = None if approved is None else approved.data()
        data["changes"] = [
            {
                "id": change.id,
                "risk": change.risk,
                "reversible": change.reversible,
                "source": change.source,
                "rules": [reason.rule for reason in judged.verdict.reasons if change.id in reason.changes],
            }
            for change in judged.plan.changes
        ]
        return _sheet("policy", data, "changes", _MEANINGS[judged.verdict.decision])

    async def confirmation(self, id: str, digest: str) -> str:
        """The question to the person at the client: the whole plan as sophia itself renders it."""
        from sophia_cli.output.plan import text

        document = self._kept(id, digest)
        async with self._session(document["chosen"]) as found:
            judged = await self._approved(found, document)
        if len(judged.plan.changes) > MOST_CHANGES:
            raise Refused(
                f"{len(judged.plan.changes)} changes are too many to be looked through here (at most {MOST_CHANGES})",
                hint=f"sophia deploy {self._file(id)}",
            )
        return self.shown_lines(f"sophia is to apply this plan now:\n\n{text(judged.plan, judged.verdict)}\n{digest}")

    async def decline(self, id: str, digest: str, how: str) -> None:
        """One line in the log."""
        state = local_state(self._common)
        await state.stream.say("mcp.apply", outcome="declined", digest=digest, answer=how)

    async def apply(self, id: str, digest: str) -> Sheet:
        """The run of an approved plan. Raises like a deploy does, with a run that went wrong in the message."""
        from sophia_cli.cli.applying import nothing_run, settle
        from sophia_cli.flows.closing import failure_of
        from sophia_cli.flows.deploy import deploy

        document = self._kept(id, digest)
        async with self._session(document["chosen"]) as found:
            await settle(found)
            judged = await self._approved(found, document)
            await found.stream().say("mcp.apply", outcome="confirmed", digest=digest)
            run = await deploy(judged, found.settings, found.ground())
            failure = None if run is None else failure_of(run, found.guard)
        if failure is not None:
            raise failure
        return _sheet("run", nothing_run(judged.plan) if run is None else run.public(), "steps")

    def shown(self, text: str) -> str:
        """Without secrets, and with steering characters escaped."""
        from sophia_cli.output.foreign import escaped

        return escaped(redacted(text))

    def shown_lines(self, text: str) -> str:
        """`shown`, line by line: the line ends are ours."""
        return "\n".join(self.shown(line) for line in text.split("\n"))

    @contextlib.asynccontextmanager
    async def _session(self, targets: Sequence[str]) -> AsyncIterator[Session]:
        common = replace(self._common, target=self._patterns(targets) or None)
        async with self._turn:
            with _signals_restored():
                async with session(common, "mcp") as found:
                    yield found

    def _options(self, targets: Sequence[str]) -> list[str]:
        """The shared options that make another command mean the same environment, state and targets."""
        common = self._common
        given = (("-e", common.env), ("--stack", common.stack), ("--state", common.state))
        words = [word for option, value in given if value is not None for word in (option, value)]
        words += [word for text in common.set or () for word in ("--set", text)]
        words += [word for pattern in self._patterns(targets) for word in ("--target", pattern)]
        return words + (["--sandbox"] if common.sandbox else [])

    def _patterns(self, targets: Sequence[str]) -> list[str]:
        """The targets of a request, else the server's own. Raises `UsageError` for one that the server is not for."""
        own, asked = self._common.target or [], [one if ":" in one else f"dns:{one}" for one in targets]
        for one in asked if own else ():
            if one not in own and (set(one) & set("*?[") or not any(fnmatchcase(one, pattern) for pattern in own)):
                raise UsageError(f"{one}: this server is for {', '.join(own)} only")
        return asked or own

    def _file(self, id: str) -> Path:
        return local_state(self._common).root / FOLDER / f"{id}.json"

    def _kept(self, id: str, digest: str | None = None) -> dict[str, Any]:
        """A kept plan. Raises `UsageError` for an unknown id, `StalePlan` when it is not the plan of that digest."""
        from sophia_cli.cli.applying import read_document

        if len(id) != 12 or not set(id) <= set("0123456789abcdef"):
            raise UsageError(f"{id!r} is no id of a plan", hint="sophia_plan_create returns one")
        document = read_document(self._file(id), "sophia.plan/1")
        chosen = document.get("chosen")
        if not isinstance(chosen, list) or not all(isinstance(one, str) for one in chosen):
            raise StateError(f"{self._file(id)} is no plan of sophia mcp", hint="create the plan again")
        if digest is not None and document.get("digest") != digest:
            raise StalePlan(f"plan {id} is not the plan {digest}", hint="sophia_plan_show tells its digest")
        return document

    async def _rebuilt(self, found: Session, document: Mapping[str, Any]) -> Judged:
        """The plan as it would be made now. Raises `StalePlan` when that is another one."""
        from sophia_cli.cli.plan import planned
        from sophia_cli.flows.deploy import stale_error

        judged = await planned(found)
        if judged.plan.digest != document.get("digest"):
            raise stale_error(str(document.get("digest")), judged.plan)
        return judged

    async def _approved(self, found: Session, document: Mapping[str, Any]) -> Judged:
        """The plan as it would be made now, with its recorded approval. Raises `ApprovalMissing` without one."""
        from sophia_cli.flows.deploy import refuse_if_denied

        judged = await self._rebuilt(found, document)
        refuse_if_denied(judged)
        if judged.verdict.approved is None and not judged.plan.is_empty():
            raise ApprovalMissing(
                f"{judged.plan.digest} was not approved in sophia itself",
                hint=f"sophia approve {self._file(document['plan'])}",
            )
        return judged


_MEANINGS = {
    "allow": "Allowed: nothing stands against it; a command that a person types still asks for a yes.",
    "ask": "Asked for: each reason tells what it needs: a yes, the zone's name typed, or a recorded approval.",
    "deny": "Denied: no flag lifts a reason whose needs is null, but a limit may be lifted for one change (--override).",
}


def _sheet(name: str, data: Mapping[str, Any], main: str | None = None, note: str = "") -> Sheet:
    from sophia_cli.providers.mcp.desk import Sheet

    return Sheet(f"sophia.{name}/1", json.loads(json.dumps(dict(data), default=str)), main, note)


def _forget_old(folder: Path) -> None:
    """Keep the newest plans only."""
    with contextlib.suppress(OSError):
        files = sorted(folder.glob("*.json"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        for file in files[:-MOST_PLANS]:
            os.unlink(file)


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """Give the signals back to the server after a session, which has handled them meanwhile."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
