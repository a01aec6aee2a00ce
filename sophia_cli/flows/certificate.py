"""A certificate as a target of the one apply flow: read from disk, proposed by its dates, written by issuing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from sophia_cli.core.certificates import (
    RENEWAL_SOURCE,
    CertificateOrder,
    CertificateState,
    Installed,
    certificate_target,
    may_renew_alone,
    name_of,
    wanted,
    what_is_due,
)
from sophia_cli.core.changes import Change
from sophia_cli.core.comparison import Comparison
from sophia_cli.core.errors import ProviderRefused, Refused, SophiaError, UsageError
from sophia_cli.core.history import Snapshot
from sophia_cli.core.issuance import Served
from sophia_cli.core.notifications import Message
from sophia_cli.core.plan import State
from sophia_cli.core.ports import Evidence, Part
from sophia_cli.core.renewal import RenewNow
from sophia_cli.core.stacks import Output
from sophia_cli.flows.challenge import FIRST_PAUSE_S
from sophia_cli.flows.issue import issue
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.keeping import is_overdue, keep, state_of, told
from sophia_cli.flows.notify import settled, tell
from sophia_cli.flows.schedule import failed, verdict


class CertificateTarget:
    """One certificate of an environment. The `ssl` section of its issuer's settings is what counts for this one."""

    def __init__(self, name: str, issuer: Issuer) -> None:
        order = wanted(issuer.settings.ssl)
        if order is None:
            raise UsageError("the environment asks for no certificate", hint="name domains in its ssl section")
        self.name = name
        self.order = order
        self.issuer = issuer

    @property
    def id(self) -> str:
        """The target id."""
        return certificate_target(self.name)

    @property
    def _setting(self) -> str:
        """Where the environment names its domains."""
        is_first = self.name == name_of(self.issuer.settings.ssl)
        return "ssl.domains" if is_first else f"ssl.certificates.{self.name}"

    async def read(self) -> Snapshot:
        """What is installed."""
        issuer = self.issuer
        state = await state_of(self.name, issuer.certificates, issuer.keepers, issuer.host)
        return Snapshot(self.id, issuer.ground().clock.now(), state)

    async def outputs(self) -> Mapping[str, Output]:
        """Nothing."""
        return {}

    async def propose(self) -> Part:
        """An issue where another certificate is wanted, a renewal where its time has come."""
        snapshot = await self.read()
        change, note = await self._due(state_in(snapshot))
        notes = () if note is None else (f"{self.id}: {note}",)
        return Part(snapshot, (), 1, {}, notes) if change is None else Part(snapshot, (change,), 0, {}, notes)

    async def _due(self, state: CertificateState) -> tuple[Change | None, str | None]:
        there = state.installed
        if state.kept_by is not None and not is_overdue(
            state.kept_by, self.issuer.ground().clock.now(), self.issuer.wake
        ):
            return None, told(state.kept_by)
        if state.kept_by is not None:
            return self.change(state, f"{state.kept_by.host} keeps it and did not renew it"), None
        found = None if there is None or there.revoked else await verdict(self.name, there, self.issuer)
        due = what_is_due(self.order, state, isinstance(found, RenewNow))
        if due is not None and due[0] == "issue":
            return self.change(state, due[1]), None
        if due is None or found is None:
            return None, None if found is None else found.reason
        page = "" if found.explanation_url is None else f" (see {found.explanation_url})"
        return self.renewal(state, found.reason + page), None

    def change(self, state: CertificateState, reason: str) -> Change:
        """The issue of what the environment asks for."""
        before = None if state.installed is None else state.installed.order()
        return Change(
            self.id,
            "cert.issue",
            "create" if before is None else "update",
            before,
            self.order,
            "config",
            f"{reason}; named by {self._setting}",
        )

    def renewal(self, state: CertificateState, reason: str, source: str | None = None) -> Change:
        """The same certificate once more; by itself only where a person agreed to its issue."""
        if state.installed is None and state.kept_by is not None:
            return self.change(state, f"{reason}, to be kept here and no more on {state.kept_by.host}")
        if state.installed is None:
            raise Refused(f"{self.id}: there is no certificate to renew", hint="run: sophia cert issue")
        alone = RENEWAL_SOURCE if may_renew_alone(self.order, state) else "config"
        order = self.order.beginning_with(state.installed.authority)
        return Change(self.id, "cert.renew", "update", state.installed.order(), order, source or alone, reason)

    async def preflight(self, fresh: Snapshot) -> tuple[str, ...]:
        """Nothing that could be lost: a write adds a version and takes none away."""
        return ()

    # -- writing --------------------------------------------------------------------------------------------------------

    async def write(self, changes: Sequence[Change], fresh: Snapshot) -> None:
        """Issue, go back to a kept version, leave none, or revoke. Raises the error that stopped it."""
        for change in changes:
            if change.kind == "cert.revoke" and change.action == "create":
                raise Refused(f"{self.id}: no authority takes a revocation back", hint="run: sophia cert issue")
            if change.kind == "cert.revoke":
                await self._revoke(change)
            elif not isinstance(change.after, CertificateOrder):
                await self.issuer.certificates.switch(self.name, None)
                await keep(self.name, None, self.issuer)
            elif change.after.serial is not None:
                await self._back_to(change.after.serial)
            else:
                await self._issue(change.after)

    async def _issue(self, order: CertificateOrder) -> None:
        try:
            installed = await issue(self.name, order, self.issuer)
        except SophiaError as exc:
            state = await failed(self.name, self.issuer)
            await self._tell_failure(exc, state.failures)
            raise
        for key in ("failed", "CERT-DUE"):
            await settled(f"{self.id}:{key}", self.issuer.alerts)
        await self._tell(
            "installed:" + installed.serial, "info", f"{self.name}: certificate installed", _dates(installed)
        )

    async def _back_to(self, serial: str) -> None:
        """Switch to a kept version, whose deploy hook has to run again."""
        kept = {one.serial: one for one in await self.issuer.certificates.versions(self.name)}
        if serial not in kept:
            raise Refused(f"{self.id}: the certificate {serial} is not kept any more", hint="sophia cert list")
        await self.issuer.certificates.switch(self.name, kept[serial].version)
        await keep(self.name, kept[serial], self.issuer)
        if self.issuer.hook is not None:
            await self.issuer.hook.run(self.name, self.issuer.certificates.paths(self.name))

    async def _revoke(self, change: Change) -> None:
        """Tell the authority first; a certificate it had revoked before is only noted."""
        before = change.before
        kept = await self.issuer.certificates.versions(self.name)
        found = next(
            (one for one in kept if isinstance(before, CertificateOrder) and one.serial == before.serial), None
        )
        if found is None:
            raise Refused(f"{self.id}: the certificate to revoke is not kept here", hint="sophia cert list")
        authority = self.issuer.authorities.at(found.authority)
        if authority is None:
            raise Refused(f"{self.id}: {found.authority} is not configured any more", hint="set ssl.directory to it")
        await authority.account(terms_agreed=True)
        leaf = self.issuer.keys.leaf(await self.issuer.certificates.chain(self.name, found.version))
        reason = change.reason.partition(":")[0]
        key = await self.issuer.certificates.key(self.name, found.version) if reason == "key-compromise" else None
        try:
            await authority.revoke(leaf.der, reason, key)
        except ProviderRefused as exc:
            if exc.details.get("type") != "alreadyRevoked":
                raise
        await self.issuer.certificates.amend(self.name, replace(found, revoked=True))

    # -- holding it against what was planned -------------------------------------------------------------------------------

    def compare(self, changes: Sequence[Change], before: Snapshot, after: Snapshot) -> Comparison:
        """Whether each change is there."""
        return Comparison(tuple(_state(change, state_in(after).installed) for change in changes))

    def undo(self, changes: Sequence[Change], before: Snapshot, now: Snapshot) -> tuple[Change, ...]:
        """The change that goes back to what was installed before."""
        old, new = state_in(before).installed, state_in(now).installed
        if new is None or (old is not None and old.serial == new.serial):
            return ()
        if old is None:
            return (Change(self.id, "cert.issue", "delete", new.order(), None, "user", "takes back what went wrong"),)
        return (
            Change(self.id, "cert.renew", "update", new.order(), old.order(), "user", "takes back what went wrong"),
        )

    async def verify(
        self, changes: Sequence[Change], before: Snapshot, earlier: Sequence[Snapshot], wait_s: float
    ) -> Evidence:
        """Shake hands with every endpoint of the names until all serve the new certificate, or the time is over.

        An endpoint that serves another one is *not yet*, never *wrong*: going back to an older certificate would mend
        nothing there.
        """
        installed = (await self.issuer.certificates.state(self.name)).installed
        pending = await self.issuer.certificates.pending(self.name)
        problems = () if pending is None else pending.problems
        if all(change.kind == "cert.revoke" for change in changes):
            return Evidence(True)
        if installed is None or installed.revoked:
            return Evidence(None, (*problems, "not tested: no certificate is in use"))
        clock = self.issuer.ground().clock
        deadline, pause = clock.now().timestamp() + wait_s, FIRST_PAUSE_S
        endpoints = await self._endpoints(installed)
        while True:
            served = await self.issuer.endpoints.served(endpoints)
            others = [one for one in served if one.serial not in (None, installed.serial)]
            if not others or clock.now().timestamp() + pause > deadline:
                return await self._evidence(installed, served, others, problems)
            await clock.sleep(pause)
            pause *= 2

    async def _evidence(
        self, installed: Installed, served: Sequence[Served], others: Sequence[Served], problems: Sequence[str]
    ) -> Evidence:
        key = f"{self.id}:not-served"
        details = [*problems, *(f"{one.endpoint} still serves {one.serial}, not {installed.serial}" for one in others)]
        if details:
            await self._tell(
                "not-served", "warning", f"{self.name}: the new certificate is not in use", "\n".join(details)
            )
            return Evidence(None, tuple(details))
        await settled(key, self.issuer.alerts)
        shown = [one for one in served if one.serial == installed.serial]
        if shown:
            return Evidence(True, tuple(f"{one.endpoint} serves {installed.serial}" for one in shown))
        untested = tuple(f"not tested: {one.endpoint}: {one.detail}" for one in served)
        return Evidence(None, untested or ("not tested: no endpoint is known",))

    async def _endpoints(self, installed: Installed) -> list[tuple[str, int, str]]:
        """Port 443 of every name that has an address in our zones, and the `https` addresses that are monitored."""
        settings, dns = self.issuer.settings, self.issuer.dns
        zones = [zone.name for zone in settings.zones]
        plain = [name for name in installed.names if not name.startswith("*.")]
        found = [(name, 443, address) for name in plain for address in await dns.addresses(name, zones)]
        for text in settings.monitoring.ping_endpoints:
            parts = urlsplit(text)
            host = parts.hostname or ""
            if parts.scheme == "https" and any(_covers(name, host) for name in installed.names):
                addresses = await dns.addresses(host, zones) or ("",)
                found += [(host, parts.port or 443, address) for address in addresses]
        return list(dict.fromkeys(found))

    # -- telling people --------------------------------------------------------------------------------------------------

    async def _tell_failure(self, exc: SophiaError, failures: int) -> None:
        there = (await self.issuer.certificates.state(self.name)).installed
        end = "" if there is None else f" The one that is installed expires {there.not_after:%Y-%m-%d %H:%M} UTC."
        text = f"{exc.message}.{end} Attempts that failed in a row: {failures}."
        await self._tell("failed", "critical", f"{self.name}: no certificate could be had", text)

    async def _tell(self, matter: str, level: str, title: str, text: str) -> None:
        now = self.issuer.alerts.clock.now()
        message = Message(f"{self.id}:{matter}", level, title, text, self.id, now)  # type: ignore[arg-type]
        await tell(message, self.issuer.alerts)


def state_in(snapshot: Snapshot) -> CertificateState:
    """The certificate a snapshot holds."""
    if not isinstance(snapshot.content, CertificateState):
        raise TypeError(f"{snapshot.target} holds no certificate")
    return snapshot.content


def _state(change: Change, there: Installed | None) -> State:
    """Told from the change alone: what it replaces is known by serial, and what it makes by the names."""
    before, after = change.before, change.after
    if change.kind == "cert.revoke":
        return "after" if there is not None and there.revoked else "before"
    if not isinstance(after, CertificateOrder):
        return "after" if there is None else "before"
    old = before.serial if isinstance(before, CertificateOrder) else None
    if there is None:
        return "before" if before is None else "neither"
    if there.serial == after.serial:
        return "after"
    if there.serial == old:
        return "before"
    return "after" if after.serial is None and there.predecessor == old and there.names == after.names else "neither"


def _dates(installed: Installed) -> str:
    return (
        f"Names: {', '.join(installed.names)}. Issuer: {installed.issuer}. "
        f"It is valid until {installed.not_after:%Y-%m-%d %H:%M} UTC."
    )


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name is that of a host (RFC 6125 6.4.3)."""
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
