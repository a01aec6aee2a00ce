"""DNSSEC of one zone: DS against DNSKEY, and the signatures over what stands at the apex (RFC 4035 5). Asks nobody.

The chain above the zone is not followed: what is told is whether this zone's own link holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sophia_cli.core.dns_facts import DelegationSigner, Dnssec, Signature
from sophia_cli.providers.dns_survey.answers import kind_of, sets

if TYPE_CHECKING:
    from sophia_cli.providers.dns_survey.wire import Reply

COVERED = ("SOA", "NS", "DNSKEY")
_SEP = 0x0001


def judged(
    zone: str,
    signers: tuple[DelegationSigner, ...] | None,
    replies: Iterable[tuple[str, Reply]],
    now: datetime,
    nsec3: Reply | None,
) -> Dnssec:
    """The state of the chain. `replies` are (server, answer) with signatures, of every type in `COVERED`.

    Without the parent's word (`signers` None) signatures are still checked, but nothing is called valid or unsigned.
    """
    answered = [(server, reply) for server, reply in replies if not reply.why and reply.is_authoritative]
    keys = _keys(zone, answered)
    tags = tuple(sorted({(_tag(key), int(key.algorithm), int(key.flags)) for key in _each(keys)}))
    found = tuple(_signatures(zone, answered, keys, now))
    why = list(_breaches(zone, signers or (), keys, answered, found))
    hash_use = _nsec3(nsec3)
    if signers is None:
        return Dnssec("unknown", ("the parent did not say whether there is a DS",), tags, found, hash_use)
    if not signers:
        return Dnssec("unsigned", (), tags, found, hash_use)
    if not answered:
        return Dnssec("unknown", ("no server gave its keys",), tags, found, hash_use)
    return Dnssec("bogus" if why else "valid", tuple(why), tags, found, hash_use)


def _keys(zone: str, answered: list[tuple[str, Reply]]) -> dict[str, Any]:
    """The DNSKEY set of each server."""
    found = {}
    for server, reply in answered:
        for owner, rrset in sets(reply.answer, "DNSKEY"):
            if owner == zone:
                found[server] = rrset
    return found


def _each(keys: dict[str, Any]) -> Iterator[Any]:
    for rrset in keys.values():
        yield from rrset


def _tag(key: Any) -> int:
    from dns.dnssec import key_id

    return int(key_id(key))


def _signatures(
    zone: str, answered: list[tuple[str, Reply]], keys: dict[str, Any], now: datetime
) -> Iterator[Signature]:
    for server, reply in answered:
        held = {kind_of(rrset): rrset for rrset in reply.answer if kind_of(rrset) in COVERED}
        for owner, signed in sets(reply.answer, "RRSIG"):
            for one in signed:
                covered = held.get(_type(one.type_covered))
                if owner == zone and covered is not None:
                    why = why_invalid(covered, signed, one, keys.get(server), now)
                    yield Signature(
                        _type(one.type_covered), int(one.algorithm), int(one.key_tag),
                        _time(one.inception), _time(one.expiration), server, why,
                    )  # fmt: skip


def _type(kind: Any) -> str:
    import dns.rdatatype

    return dns.rdatatype.to_text(kind)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def why_invalid(covered: Any, signed: Any, one: Any, keys: Any, now: datetime) -> str:
    """Why one signature does not hold; empty when it does."""
    import dns.dnssec
    import dns.exception

    if one.expiration < now.timestamp():
        return f"expired at {_time(one.expiration).isoformat()}"
    if one.inception > now.timestamp():
        return f"not valid before {_time(one.inception).isoformat()}"
    if keys is None:
        return "the server gave no DNSKEY"
    if not any(_tag(key) == one.key_tag and key.algorithm == one.algorithm for key in keys):
        return f"made with the key {one.key_tag}, which is not in the DNSKEY set"
    try:
        dns.dnssec.validate_rrsig(covered, one, {signed.name: keys}, now=now.timestamp())
    except dns.exception.UnsupportedAlgorithm:
        return ""  # RFC 4035 5.2: what nobody here can check is not held against it
    except (dns.exception.DNSException, ValueError) as exc:
        return str(exc) or type(exc).__name__
    return ""


def _breaches(
    zone: str,
    signers: tuple[DelegationSigner, ...],
    keys: dict[str, Any],
    answered: list[tuple[str, Reply]],
    found: tuple[Signature, ...],
) -> Iterator[str]:
    """Every reason why a validating resolver would refuse the zone, server by server."""
    for server in sorted({server for server, _ in answered}):
        rrset = keys.get(server)
        if rrset is None:
            yield f"{server} has no DNSKEY, but the parent has a DS"
            continue
        anchored = {_tag(key) for key in rrset if any(_fits(zone, signer, key) for signer in signers)}
        if not anchored:
            tags = ", ".join(str(signer.key_tag) for signer in signers)
            yield f"no DNSKEY of {server} fits a DS of the parent (key tags {tags})"
            continue
        own = [one for one in found if one.server == server]
        if not any(one.covers == "DNSKEY" and not one.why and one.key_tag in anchored for one in own):
            yield f"{server}: {_first(own, 'DNSKEY', 'the DNSKEY set is not signed by a key that the DS names')}"
        for kind in ("SOA", "NS"):
            if not any(one.covers == kind and not one.why for one in own):
                yield f"{server}: {_first(own, kind, f'the {kind} is not signed')}"


def _first(own: list[Signature], kind: str, otherwise: str) -> str:
    reasons = [one.why for one in own if one.covers == kind and one.why]
    return f"the signature over {kind} is {reasons[0]}" if reasons else otherwise


def _fits(zone: str, signer: DelegationSigner, key: Any) -> bool:
    import dns.dnssec
    import dns.exception
    import dns.name
    from dns.dnssectypes import DSDigest

    if _tag(key) != signer.key_tag or int(key.algorithm) != signer.algorithm:
        return False
    try:
        kind = DSDigest(signer.digest_type)
        made = dns.dnssec.make_ds(dns.name.from_text(zone), key, kind, validating=True)
    except (dns.exception.DNSException, ValueError):
        return True  # a digest that nobody here can make: the tag and the algorithm fit
    return bool(made.digest.hex() == signer.digest)


def _nsec3(reply: Reply | None) -> tuple[int, str] | None:
    if reply is None or reply.why:
        return None
    for _, rrset in sets(reply.answer, "NSEC3PARAM"):
        data: Any = next(iter(rrset))
        return int(data.iterations), data.salt.hex()
    return None
