"""The sandbox's authoritative nameserver, UDP and TCP on loopback: serves what the zones hold. Never recurses."""

from __future__ import annotations

import socket
import socketserver
import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from threading import Thread
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

from sophia_cli.sandbox.account import Account, Domain
from sophia_cli.sandbox.faults import Fault
from sophia_cli.sandbox.server import Backend
from sophia_cli.sandbox.zonefile import Published, published

MAX_CHASE = 16  # CNAME steps
_EDNS_PAYLOAD = 1232  # bytes (DNS flag day 2020)
_ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)


@lru_cache(maxsize=4096)
def _published(domain: Domain) -> Published:
    return published(domain)


def answer_to(wire: bytes, backend: Backend, *, udp: bool) -> bytes | None:
    """The answer to a message; None means silence. Malformed ones get FORMERR when their id can be read (RFC 1035 4.1.1)."""
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError, struct.error):
        return _format_error(wire)
    if query.flags & dns.flags.QR:
        return None
    response = dns.message.make_response(query, our_payload=_EDNS_PAYLOAD)
    response.flags &= ~(dns.flags.RA | dns.flags.AD | dns.flags.CD)
    limit = min(max(query.payload, 512), _EDNS_PAYLOAD) if query.edns >= 0 else 512
    if query.opcode() != dns.opcode.QUERY:
        response.set_rcode(dns.rcode.NOTIMP)
    elif len(query.question) != 1:
        response.set_rcode(dns.rcode.FORMERR)
    elif not _filled(response, query.question[0], backend):
        return None
    return response.to_wire(max_size=limit if udp else 65535, prefer_truncation=True)


def _format_error(wire: bytes) -> bytes | None:
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    flags = (wire[2] & 0x79) << 8 | 0x8000 | int(dns.rcode.FORMERR)  # opcode and RD are echoed
    return wire[:2] + struct.pack("!HHHHH", flags, 0, 0, 0, 0)


def _filled(response: dns.message.Message, question: dns.rrset.RRset, backend: Backend) -> bool:
    """Fill the response; False means: give none."""
    name, kind = question.name.canonicalize(), question.rdtype
    backend.questions += 1
    shown = name.to_text(omit_final_dot=True)
    faults = {item.kind: item for item in backend.faults.for_question(shown, dns.rdatatype.to_text(kind))}
    if "dns_silent" in faults:
        return False
    if "dns_servfail" in faults or "dns_refused" in faults:
        response.set_rcode(dns.rcode.SERVFAIL if "dns_servfail" in faults else dns.rcode.REFUSED)
        return True
    if question.rdclass != dns.rdataclass.IN or kind in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
        response.set_rcode(dns.rcode.REFUSED)
        return True
    zones = _Zones(backend.data.read(), faults.get("dns_lag"), backend.now())
    zone = zones.of(name)
    if zone is None:
        response.set_rcode(dns.rcode.REFUSED)
        return True
    response.flags |= dns.flags.AA
    _resolve(response, zones, zone, name, kind)
    wrong = faults.get("dns_wrong")
    if wrong is not None and wrong.value:
        response.set_rcode(dns.rcode.NOERROR)
        response.answer = [dns.rrset.from_text(question.name, 300, "IN", dns.rdatatype.to_text(kind), wrong.value)]
        response.authority = []
    return True


class _Zones:
    """The zones at one moment, as they are or as they were."""

    def __init__(self, account: Account, lag: Fault | None, now: float) -> None:
        self._domains: Mapping[str, Domain] = account.domains
        self._lag = lag
        self._now = now

    def of(self, name: dns.name.Name) -> Published | None:
        """The zone that holds a name; None when we do not serve one."""
        text = name.to_text(omit_final_dot=True).lower()
        while text:
            domain = self._domains.get(text)
            if domain is not None:
                return None if domain.nameservers else _published(replace(self._served(domain), history=()))
            text = text.partition(".")[2]
        return None

    def _served(self, domain: Domain) -> Domain:
        if self._lag is None:
            return domain
        return domain.before() if self._lag.seconds is None else domain.at(self._now - self._lag.seconds)


def _resolve(
    response: dns.message.Message,
    zones: _Zones,
    zone: Published,
    name: dns.name.Name,
    kind: dns.rdatatype.RdataType,
) -> None:
    """Answer within one zone, following CNAMEs as far as it goes (RFC 1034 4.3.2)."""
    seen: set[dns.name.Name] = set()
    while True:
        cut = _delegation(zone, name)
        if cut is not None and not (cut == name and kind == dns.rdatatype.DS):
            _refer(response, zone, cut)
            return
        source = _source(zone, name)
        if source is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            _deny(response, zone)
            return
        sets = zone.names.get(source, {})
        cname = sets.get(dns.rdatatype.CNAME)
        if cname is None or kind in (dns.rdatatype.CNAME, dns.rdatatype.ANY):
            if not _own(response, zones, zone, source, name, kind):
                _deny(response, zone)
            return
        response.answer.append(_rrset(name, cname))
        seen.add(name)
        name = cname[0].target.canonicalize()
        if name in seen or len(seen) > MAX_CHASE or not name.is_subdomain(zone.origin):
            return


def _own(
    response: dns.message.Message,
    zones: _Zones,
    zone: Published,
    source: dns.name.Name,
    name: dns.name.Name,
    kind: dns.rdatatype.RdataType,
) -> bool:
    """Put the sets of a name into the answer; whether there were any."""
    sets = zone.names.get(source, {})
    wanted = [item for rdtype, item in sets.items() if kind in (rdtype, dns.rdatatype.ANY)]
    for item in wanted:
        response.answer.append(_rrset(name, item))
    if source in zone.aliases and kind in _ADDRESSES:
        found = _alias(zones, *zone.aliases[source], kind)
        if found is None:
            response.set_rcode(dns.rcode.SERVFAIL)  # the target is not one of our zones, and nobody is asked
            return True
        if found:
            response.answer.append(_rrset(name, found))
        return bool(found) or bool(wanted)
    return bool(wanted)


def _alias(
    zones: _Zones, target: dns.name.Name, ttl: int, kind: dns.rdatatype.RdataType
) -> dns.rdataset.Rdataset | None:
    """The addresses of an ALIAS target: None when it is outside our zones, empty when it has none."""
    result = dns.rdataset.Rdataset(dns.rdataclass.IN, kind, ttl=ttl)
    for _ in range(MAX_CHASE):
        zone = zones.of(target.canonicalize())
        if zone is None:
            return None
        source = _source(zone, target.canonicalize())
        sets = zone.names.get(source, {}) if source is not None else {}
        if kind in sets:
            for data in sets[kind]:
                result.add(data)
            result.ttl = min(ttl, sets[kind].ttl)
            return result
        if dns.rdatatype.CNAME in sets:
            target = sets[dns.rdatatype.CNAME][0].target
        elif source is not None and source in zone.aliases:
            target = zone.aliases[source][0]
        else:
            return result
    return result


def _source(zone: Published, name: dns.name.Name) -> dns.name.Name | None:
    """The name whose sets answer for `name`: itself, or the wildcard at its closest encloser (RFC 4592 3.3.1)."""
    if name in zone.names or name in zone.parents:
        return name
    encloser = name.parent()
    while encloser not in zone.names and encloser not in zone.parents:
        encloser = encloser.parent()
    wildcard = dns.name.from_text("*", encloser)
    return wildcard if wildcard in zone.names else None


def _delegation(zone: Published, name: dns.name.Name) -> dns.name.Name | None:
    """The highest zone cut at or above `name`, below the apex."""
    found = None
    while name != zone.origin:
        if dns.rdatatype.NS in zone.names.get(name, {}):
            found = name
        name = name.parent()
    return found


def _refer(response: dns.message.Message, zone: Published, cut: dns.name.Name) -> None:
    servers = zone.names[cut][dns.rdatatype.NS]
    if not response.answer:
        response.flags &= ~dns.flags.AA
    response.authority.append(_rrset(cut, servers))
    for server in servers:
        for kind in _ADDRESSES:
            glue = zone.names.get(server.target.canonicalize(), {}).get(kind)
            if glue is not None:
                response.additional.append(_rrset(server.target, glue))


def _deny(response: dns.message.Message, zone: Published) -> None:
    response.authority.append(_rrset(zone.origin, zone.names[zone.origin][dns.rdatatype.SOA]))


def _rrset(name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))


class _Udp(socketserver.UDPServer):
    max_packet_size = 65535
    backend: Backend

    def finish_request(self, request: Any, client_address: Any) -> None:
        wire, sock = request
        reply = answer_to(wire, self.backend, udp=True)
        if reply is not None:
            sock.sendto(reply, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a peer that has gone is no matter of ours."""


class _Conversation(socketserver.BaseRequestHandler):
    server: _Tcp

    def handle(self) -> None:
        """Answer message after message until the peer closes or is silent for ten seconds."""
        self.request.settimeout(10)
        with self.request.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                size = int.from_bytes(head)
                wire = stream.read(size)
                if len(wire) < size:
                    return
                reply = answer_to(wire, self.server.backend, udp=False)
                if reply is None:
                    return
                self.request.sendall(len(reply).to_bytes(2) + reply)


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    backend: Backend

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a peer that has gone is no matter of ours."""


class NameServer:
    """Both servers on one port of loopback."""

    def __init__(self, port: int, backend: Backend) -> None:
        self._udp, self._tcp = _bound(port)
        self._udp.backend = self._tcp.backend = backend
        self.port: int = self._udp.server_address[1]
        self._threads = [
            Thread(target=server.serve_forever, args=(0.02,), name="sandbox-dns", daemon=True)
            for server in (self._udp, self._tcp)
        ]

    def start(self) -> None:
        """Serve from threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop serving."""
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()


def _bound(port: int) -> tuple[_Udp, _Tcp]:
    for attempt in range(50):
        udp = _Udp(("127.0.0.1", port), socketserver.BaseRequestHandler)
        # A burst of questions for a thousand zones must not be lost in the kernel.
        udp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        try:
            return udp, _Tcp(("127.0.0.1", udp.server_address[1]), _Conversation)
        except OSError:
            udp.server_close()
            if port or attempt == 49:
                raise
    raise AssertionError("unreachable")
