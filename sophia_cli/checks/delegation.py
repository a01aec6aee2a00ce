"""Checks of the zone's name servers and its delegation, as live DNS shows them. Asks no server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.outside import look
from sophia_cli.core.dns_facts import GIVEN, Answer, LiveDns, Question, ServerFacts
from sophia_cli.core.findings import Finding

# Bounds in seconds (RFC 1912 2.2, RFC 2308 5).
MIN_REFRESH, MIN_RETRY, MIN_EXPIRE = 14_400, 3_600, 604_800
MINIMUM = (300, 86_400)
_NET4, _NET6 = 24, 48  # prefix lengths that one outage usually takes down together


def live_of(facts: Facts) -> LiveDns:
    """What live DNS shows; checks that need `D` run only where it is there."""
    live = facts.background.dns
    assert live is not None
    return live


def listed_servers(facts: Facts) -> set[str]:
    """The names of the servers that the parent or the zone lists; those that the environment names when it does."""
    live = live_of(facts)
    named = set() if live.delegation is None else set(live.delegation.nameservers)
    return named | {name for server in live.answering for name in server.nameservers or ()} | set(live.hosts)


def lame(facts: Facts) -> Iterator[Finding]:
    """A listed server that does not serve the zone: part of all look-ups wait for it or fail."""
    live = live_of(facts)
    for host in sorted(live.hosts):
        asked = [server for server in live.servers if server.name == host and not server.unreachable_here]
        bad = [server for server in asked if not server.is_authoritative and (live.answering or _is_heard(server))]
        if not live.hosts[host]:
            yield finding(
                facts, "DNS-LAME", f"the name server {host} has no address", (),
                "Take it out of the delegation, or give it an address.", host=host, at=live.at.isoformat(),
            )  # fmt: skip
        elif bad:
            yield finding(
                facts, "DNS-LAME", f"the name server {host} does not serve {live.zone}: {_why_lame(bad[0])}", (),
                "Take it out of the delegation, or let it serve the zone.",
                host=host, servers=[_shown(server) for server in bad],
            )  # fmt: skip


def _is_heard(server: ServerFacts) -> bool:
    """Whether it said anything; when all are silent, the network here may be to blame."""
    return server.soa is not None and server.soa.rtt_ms is not None


def _why_lame(server: ServerFacts) -> str:
    soa = server.soa
    if soa is None:
        return "it was not asked"
    return soa.why or ("it holds no SOA of it" if soa.is_negative else "its answer is not authoritative")


def _shown(server: ServerFacts) -> dict[str, object]:
    return {"server": server.label} if server.soa is None else {**server.soa.data(), "server": server.label}


def servers_unknown(facts: Facts) -> str | None:
    """Why the servers were not asked, or not all."""
    live = live_of(facts)
    if (gap := live.gap("servers")) is not None:
        return gap
    if not live.answering:
        return f"no server of the zone gave an authoritative answer: {'; '.join(map(_told, live.servers))}"
    hidden = [server.label for server in live.servers if server.unreachable_here]
    return f"in part: this machine cannot reach {', '.join(hidden)}" if hidden else None


def _told(server: ServerFacts) -> str:
    return f"{server.label}: {server.unreachable_here or _why_lame(server)}"


def differs(facts: Facts) -> Iterator[Finding]:
    """Parent and zone must name the same servers, with the same addresses."""
    live = live_of(facts)
    delegation = live.delegation
    if delegation is None or delegation.why:
        return
    parent = set(delegation.nameservers)
    for server in live.answering:
        own = set(server.nameservers or ())
        if server.nameservers is not None and own != parent:
            yield finding(
                facts, "DNS-DELEG-DIFF", f"the parent and {server.name} name different servers for {live.zone}", (),
                "Let the delegation at the registrar and the zone's NS records name the same servers.",
                parent=sorted(parent), zone=sorted(own), server=server.label, parent_server=delegation.server,
                at=live.at.isoformat(),
            )  # fmt: skip
            break
    for host, addresses in delegation.addresses.items():
        glue = delegation.glue.get(host, ())
        if addresses and set(glue) != set(addresses):
            yield finding(
                facts, "DNS-DELEG-DIFF", f"the glue of {host} is not its address", (),
                "Correct the host's addresses at the registrar (personal name servers).",
                host=host, parent=sorted(glue), zone=sorted(addresses), parent_server=delegation.server,
                at=live.at.isoformat(),
            )  # fmt: skip


def parent_unknown(facts: Facts) -> str | None:
    """Why the parent's word is not known."""
    live = live_of(facts)
    return live.gap("parent") or servers_unknown(facts)


def given(facts: Facts) -> str | None:
    """Why the servers that were asked need not be those of the delegation."""
    live = live_of(facts)
    if live.delegation is not None and live.delegation.why and not live.delegation.nameservers:
        own = any(server.nameservers for server in live.answering)
        return live.gap("parent") if live.delegation.why == GIVEN or not own else servers_unknown(facts)
    return servers_unknown(facts)


def few(facts: Facts) -> Iterator[Finding]:
    """One server, or one address, is one point of failure."""
    live = live_of(facts)
    names, addresses = sorted(live.hosts), sorted({address for found in live.hosts.values() for address in found})
    if given(facts) is not None and "in part" not in (given(facts) or ""):
        return
    if len(names) < 2 or len(addresses) < 2:
        what = (
            f"{len(names)} name server" if len(names) < 2 else f"{len(addresses)} address for {len(names)} name servers"
        )
        yield finding(
            facts, "DNS-NS-FEW", f"only {what}", (), "Use at least two servers at two addresses.",
            nameservers=names, addresses=addresses, at=live.at.isoformat(),
        )  # fmt: skip


def one_net(facts: Facts) -> Iterator[Finding]:
    """Servers in one network go down together."""
    live = live_of(facts)
    addresses = sorted({address for found in live.hosts.values() for address in found})
    if len(addresses) < 2 or ("in part" not in (given(facts) or "in part")):
        return
    nets = sorted({_net(address) for address in addresses})
    if len(nets) == 1:
        yield finding(
            facts, "DNS-NS-ONE-NET", f"all name servers are in {nets[0]}", (),
            "Use servers in different networks, best of different operators.",
            network=nets[0], addresses=addresses, at=live.at.isoformat(),
        )  # fmt: skip


def systems_unknown(facts: Facts) -> str | None:
    """What prefixes do not tell of networks. There is no table of autonomous systems here, and none is asked for."""
    return given(facts) or (
        f"in part: networks were told by their prefix (/{_NET4}, /{_NET6}); whether the servers share an autonomous system "
        "(AS) was not tested"
    )


def _net(address: str) -> str:
    width = _NET6 if ":" in address else _NET4
    return str(ipaddress.ip_network(f"{address}/{width}", strict=False))


def no_ipv6(facts: Facts) -> Iterator[Finding]:
    """Resolvers that have only IPv6 cannot look the zone up."""
    live = live_of(facts)
    if "in part" not in (given(facts) or "in part"):
        return
    six = [server for server in live.servers if ":" in server.address]
    reached = [server for server in six if server.is_authoritative or server.unreachable_here]
    if not reached:
        what = "has an IPv6 address" if not six else "answers over IPv6"
        yield finding(
            facts, "DNS-NS-V6", f"no name server {what}", (), "Use name servers that have IPv6 addresses.",
            nameservers=sorted(live.hosts), servers=[_shown(server) for server in six], at=live.at.isoformat(),
        )  # fmt: skip


def no_tcp(facts: Facts) -> Iterator[Finding]:
    """Answers that are too long for UDP need TCP: long TXT and DNSSEC fail without."""
    for server in live_of(facts).answering:
        if server.tcp is not None and server.tcp.status == "failed":
            yield finding(
                facts, "DNS-NS-TCP", f"{server.label} does not answer over TCP: {server.tcp.why}", (),
                "Let TCP port 53 through to the name server.", **server.tcp.data(),
            )  # fmt: skip


def soa(facts: Facts) -> Iterator[Finding]:
    """Values that make secondaries give up early, or negative answers stay too long."""
    live = live_of(facts)
    server = next(iter(live.answering), None)
    values = None if server is None else server.values
    if server is None or values is None:
        return
    wrong = []
    if values.refresh < MIN_REFRESH:
        wrong.append(f"refresh {values.refresh} is below {MIN_REFRESH}")
    if not MIN_RETRY <= values.retry < values.refresh:
        wrong.append(f"retry {values.retry} is not from {MIN_RETRY} up to refresh")
    if values.expire < MIN_EXPIRE:
        wrong.append(f"expire {values.expire} is below {MIN_EXPIRE}")
    if not MINIMUM[0] <= values.minimum <= MINIMUM[1]:
        wrong.append(f"minimum {values.minimum} is not within {MINIMUM[0]}..{MINIMUM[1]}")
    if not _is_mailbox(values.rname):
        wrong.append(f"RNAME {values.rname} is no mailbox")
    primary = look(facts, values.mname, "A")
    if isinstance(primary, Answer) and primary.chain:
        wrong.append(f"MNAME {values.mname} is an alias")
    if wrong:
        yield finding(
            facts, "DNS-SOA", f"the SOA has unusual values: {wrong[0]}", (),
            "These are set by whoever runs the zone's name servers.", values=wrong, server=server.label,
            at=live.at.isoformat(),
        )  # fmt: skip


def _is_mailbox(rname: str) -> bool:
    bare = rname.rstrip(".")
    return bool(bare) and "@" not in bare and "." in bare


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked about the SOA's primary."""
    live = facts.background.dns
    for server in () if live is None else live.answering[:1]:
        if server.values is not None and isinstance(found := look(facts, server.values.mname, "A"), Question):
            yield found
