"""Issuing: from an order to an installed certificate, each step noted before it is taken, so that any run can take it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sophia_cli.core.acme import (
    DNS_01,
    DNS_PERSIST_01,
    Authority,
    Authorization,
    Challenge,
    IssuedChain,
    Order,
    chosen_chain,
)
from sophia_cli.core.certificates import CertificateOrder, ChallengeRecord, Installed, PendingOrder
from sophia_cli.core.errors import BadResponse, ProviderRefused, Refused, SophiaError, Unreachable
from sophia_cli.flows.challenge import deadline_of, place_of, publish, wait_until_shown, withdraw
from sophia_cli.flows.issuer import Issuer
from sophia_cli.flows.keeping import keep
from sophia_cli.flows.placing import cured_elsewhere, passed_over, place
from sophia_cli.flows.spending import note_failed, note_issued, request_of
from sophia_cli.flows.standing import stands

ORDER_TIME = timedelta(hours=1)  # for what an authority gives no end for

# After these the order is of no use any more: what it left is cleaned up at once. Others leave it to be taken up again.
_FINAL = (ProviderRefused, BadResponse, Refused)


async def issue(name: str, order: CertificateOrder, issuer: Issuer) -> Installed:
    """A new certificate, installed. Takes up the order that is under way when it asks for the same.

    An authority that will not issue after all is passed over for the next. Raises the error that stopped it. What is
    installed then is what was installed before; challenge records are gone, or noted in the pending order, which the next
    run takes up or cleans up.
    """
    pending = await _to_take_up(name, order, issuer)
    if pending is not None and pending.installed is not None:
        await finish(name, issuer)
        pending = None
    while True:
        try:
            return await _issue(name, order, pending, issuer)
        except SophiaError as exc:
            asked = await issuer.certificates.pending(name)
            if isinstance(exc, _FINAL) or exc.details.get("too_late"):
                await _cleaned_up(name, issuer)
            if asked is None or not cured_elsewhere(exc) or not (left := _after(asked.order.authority, order)):
                raise
            if await issuer.certificates.pending(name) is not None:
                await _cleaned_up(name, issuer)
            await passed_over(name, asked.order.authority, exc, issuer)
            order, pending = left, None


def _after(directory: str, order: CertificateOrder) -> CertificateOrder | None:
    """The order for the authorities that were not asked yet; None when there are none."""
    at = order.authorities.index(directory) + 1 if directory in order.authorities else len(order.authorities)
    left = order.authorities[at:]
    return replace(order, authority=left[0], others=left[1:]) if left else None


async def _to_take_up(name: str, order: CertificateOrder, issuer: Issuer) -> PendingOrder | None:
    """The order under way when it is for the same; another one is given up first."""
    pending = await issuer.certificates.pending(name)
    if pending is None or pending.installed is not None or pending.order.asks_for_same(order):
        return pending
    await abandon(name, issuer)
    return None


async def _issue(name: str, order: CertificateOrder, pending: PendingOrder | None, issuer: Issuer) -> Installed:
    ground = issuer.ground()
    taken_up = None if pending is None else await _resumed(pending, issuer)
    if pending is None or taken_up is None:
        if pending is not None:
            await abandon(name, issuer)
        pending, authority, placed = await _placed(name, order, issuer)
    else:
        authority, placed = taken_up
        await ground.stream.say("cert.order", target=f"cert:{name}", outcome="taken up", status=placed.status)
    end = placed.expires or ground.clock.now() + ORDER_TIME
    if placed.status == "pending":
        pending, placed = await _proved(name, pending, authority, placed, issuer)
    if placed.status == "ready":
        placed = await _finalized(name, pending, authority, placed, issuer)
    if placed.status == "processing":
        placed = await authority.wait_order(placed, end)
    if placed.status != "valid":
        raise ProviderRefused(f"the order for {name} is {placed.status}", hint="run the command again")
    installed = await _installed(name, pending, authority, placed, issuer)
    await finish(name, issuer)
    return installed


# -- ordering ---------------------------------------------------------------------------------------------------------------


async def _resumed(pending: PendingOrder, issuer: Issuer) -> tuple[Authority, Order] | None:
    """The order of an earlier run, if it can still become a certificate with the key that is there."""
    authority = issuer.authorities.at(pending.order.authority)
    if pending.url is None or authority is None:
        return None
    await authority.account(terms_agreed=True)
    try:
        order = await authority.resume(pending.url)
    except ProviderRefused:
        return None
    if order.status == "invalid" or {name.lower() for name in order.names} != set(pending.order.names):
        return None
    return authority, order


async def _placed(name: str, order: CertificateOrder, issuer: Issuer) -> tuple[PendingOrder, Authority, Order]:
    """Place the order; its URL is noted before anything is written for it."""
    ground, certificates = issuer.ground(), issuer.certificates
    there = (await certificates.state(name)).installed
    approved = issuer.approved_by or (None if there is None else there.approved)
    placed = await place(name, order, there, issuer)
    found = placed.order
    pending = PendingOrder(placed.wanted, ground.clock.now(), approved, url=found.url, replaces=found.replaces)
    await certificates.save_pending(name, pending)
    await ground.stream.say(
        "cert.order",
        target=f"cert:{name}",
        outcome="placed",
        authority=placed.authority.url,
        names=list(order.names),
        replaces=found.replaces,
    )
    return pending, placed.authority, found


# -- proving ----------------------------------------------------------------------------------------------------------------


async def _proved(
    name: str, pending: PendingOrder, authority: Authority, order: Order, issuer: Issuer
) -> tuple[PendingOrder, Order]:
    """Answer every authorization that is not valid yet. All values of a zone are written at once."""
    ground = issuer.ground()
    authorizations = await authority.authorizations(order)
    open_ = [one for one in authorizations if not one.is_over]
    chosen = [await _challenge_of(one, issuer) for one in open_]
    fleeting = [challenge for challenge in chosen if not challenge.stays]
    records = tuple([await place_of(challenge, issuer) for challenge in fleeting if challenge.status == "pending"])
    await _noted_stray(pending, records, issuer)
    pending = replace(pending, records=tuple(dict.fromkeys((*pending.records, *records))))
    await issuer.certificates.save_pending(name, pending)
    await publish(records, issuer)
    deadline = deadline_of(open_, order.expires, ground.clock.now())
    standing = tuple([await place_of(challenge, issuer) for challenge in chosen if challenge.stays])
    if records or standing:
        await wait_until_shown((*records, *standing), deadline, issuer)
    for challenge in chosen:
        if challenge.status == "pending":
            await authority.answer(challenge)
    await ground.stream.say("cert.answered", target=f"cert:{name}", challenges=[one.type for one in chosen])
    await _validated(open_, deadline, authority, issuer)
    return pending, await authority.wait_order(order, deadline)


async def _validated(
    authorizations: Sequence[Authorization], deadline: datetime, authority: Authority, issuer: Issuer
) -> None:
    """Wait for all of them, and count the one that failed."""
    for authorization in authorizations:
        try:
            await authority.wait_authorization(authorization, deadline)
        except ProviderRefused:
            await note_failed(authority.url, authorization.identifier, issuer)
            raise


async def _given_up(authorization: Authorization, authority: Authority) -> None:
    try:
        await authority.abandon(authorization)
    except SophiaError:
        return  # it ends by itself


async def _challenge_of(authorization: Authorization, issuer: Issuer) -> Challenge:
    """How to prove a name: by a record that stands already or may be made to stand, else by one for this time only."""
    wish = issuer.settings.ssl.challenge
    lasting = authorization.offered(DNS_PERSIST_01) if wish != DNS_01 else None
    if lasting is not None and (standing := await stands(lasting, issuer)) is not None:
        return standing
    fleeting = authorization.offered(DNS_01) if wish != DNS_PERSIST_01 else None
    if fleeting is None:
        offered = ", ".join(challenge.type for challenge in authorization.challenges) or "none by a TXT record"
        raise Refused(
            f"{authorization.name}: the authority offers {offered}, and ssl.challenge asks for {wish or DNS_01}",
            hint="take ssl.challenge out of the environment, or name another authority",
        )
    return fleeting


async def _noted_stray(pending: PendingOrder, records: Sequence[ChallengeRecord], issuer: Issuer) -> None:
    """Values of an earlier attempt at this order that nobody waits for any more are taken out before new ones come."""
    stray = [record for record in pending.records if record not in records]
    if stray:
        await withdraw(stray, issuer)


# -- the certificate --------------------------------------------------------------------------------------------------------


async def _finalized(name: str, pending: PendingOrder, authority: Authority, order: Order, issuer: Issuer) -> Order:
    """Send the request with a new key, which is on disk before the authority knows of it."""
    key = await issuer.certificates.pending_key(name)
    if key is None:
        key = issuer.keys.generate(pending.order.key_type)
        await issuer.certificates.save_pending_key(name, key)
    order = await authority.finalize(order, issuer.keys.request(key, pending.order.names))
    await issuer.ground().stream.say("cert.finalized", target=f"cert:{name}", outcome=order.status)
    return order


async def _installed(name: str, pending: PendingOrder, authority: Authority, order: Order, issuer: Issuer) -> Installed:
    """Download, check against the key, install and switch."""
    certificates, ground = issuer.certificates, issuer.ground()
    key = await certificates.pending_key(name)
    if key is None:
        raise BadResponse(f"the key of the order for {name} is gone, so its certificate is of no use")
    chain = await _chain(name, authority, order, issuer)
    leaf = chain.leaf
    if leaf.key_digest != issuer.keys.digest(key):
        raise BadResponse(f"the certificate that came for {name} is for another key; it was not installed")
    known = next((one for one in await certificates.versions(name) if one.serial == leaf.serial_hex), None)
    now, there = ground.clock.now(), (await certificates.state(name)).installed
    installed = known or Installed(
        version=f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}-{leaf.serial_hex[:12]}",
        names=tuple(sorted(leaf.names)),
        serial=leaf.serial_hex,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        issuer=leaf.issuer,
        key_type=pending.order.key_type,
        authority=pending.order.authority,
        profile=pending.order.profile,
        certificate_id=leaf.certificate_id,
        approved=pending.approved,
        predecessor=None if there is None else there.serial,
    )
    if known is None:
        request = request_of(pending.order, issuer, advised=pending.replaces is not None, same_names=False)
        await note_issued(pending.order, request, issuer)
    await certificates.install(name, chain.pem, installed)
    await keep(name, installed, issuer)
    await certificates.save_pending(name, replace(pending, installed=installed.version))
    await ground.stream.say(
        "cert.installed",
        target=f"cert:{name}",
        outcome="installed",
        serial=installed.serial,
        not_after=installed.not_after.isoformat(),
        version=installed.version,
    )
    return installed


async def _chain(name: str, authority: Authority, order: Order, issuer: Issuer) -> IssuedChain:
    """The chain that `ssl.preferred_chain` asks for, else the one the authority prefers (RFC 8555 7.4.2)."""
    chains = await authority.download(order)
    if not chains:
        raise BadResponse("the authority gave no certificate for a valid order")
    wish = issuer.settings.ssl.preferred_chain
    found = chosen_chain(chains, wish)
    if found is None:
        offered = sorted({one.issuers[-1] for one in chains if one.issuers})
        stream, target = issuer.ground().stream, f"cert:{name}"
        await stream.say("cert.chain", target=target, outcome="not offered", wish=wish, offered=offered)
    return found or chains[0]


# -- afterwards -------------------------------------------------------------------------------------------------------------


async def finish(name: str, issuer: Issuer) -> tuple[str, ...]:
    """What is left once a certificate is installed: take the values out, run the hook, forget the order.

    What fails is said and tried again by the next run; the certificate stays installed.
    """
    pending = await issuer.certificates.pending(name)
    if pending is None or pending.installed is None:
        return ()
    ground = issuer.ground()
    problems: list[str] = []
    try:
        await withdraw(pending.records, issuer)
    except SophiaError as exc:
        problems.append(f"the challenge records are still there: {exc.message}")
        await ground.stream.say("cert.cleanup", target=f"cert:{name}", outcome="failed", error=exc.kind)
    if issuer.hook is not None:
        ended = await issuer.hook.run(name, issuer.certificates.paths(name))
        await ground.stream.say("cert.hook", target=f"cert:{name}", outcome="ran" if ended.ok else "failed")
        if not ended.ok:
            problems.append(f"{ended.detail}: {ended.output.strip()[-300:]}" if ended.output else ended.detail)
    if problems:
        await issuer.certificates.save_pending(name, replace(pending, problems=tuple(problems)))
    else:
        await issuer.certificates.drop_pending(name)
    return tuple(problems)


async def _cleaned_up(name: str, issuer: Issuer) -> None:
    """Give up what is of no use any more. What cannot be cleaned up now stays noted, and the next run does it."""
    try:
        await abandon(name, issuer)
    except SophiaError as exc:
        await issuer.ground().stream.say("cert.cleanup", target=f"cert:{name}", outcome="failed", error=exc.kind)


async def abandon(name: str, issuer: Issuer) -> None:
    """Give an order up: its pending authorizations first, then its values, then what is noted of it."""
    pending = await issuer.certificates.pending(name)
    if pending is None:
        return
    authority = issuer.authorities.at(pending.order.authority)
    if pending.url is not None and authority is not None and pending.records:
        try:
            await authority.account(terms_agreed=True)
            order = await authority.resume(pending.url)
            for authorization in await authority.authorizations(order):
                if authorization.status == "pending":
                    await _given_up(authorization, authority)
        except (ProviderRefused, Unreachable, BadResponse):
            pass  # gone, or it ends by itself; our records are of no use to it either way
    await withdraw(pending.records, issuer)
    await issuer.certificates.drop_pending(name)
    await issuer.ground().stream.say("cert.order", target=f"cert:{name}", outcome="given up")
