"""The little internet that the live tests look at: one healthy domain, and one domain a fault. Asserts nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.providers.dns_survey.servers import (
    BIND,
    KNOT,
    NSD,
    PARENT,
    ROOT,
    UDP_ONLY,
    Forwarder,
    Place,
    bind,
    delegated,
    free_port,
    knot,
    nsd,
    relay,
    signed,
    zone_text,
)

HEALTHY = {"ns1": NSD, "ns2": KNOT}
CARELESS = {"ns1": NSD, "ns2": BIND}
LONG = "x" * 250
TOPS = ("test", "azurewebsites.net")  # other zones that the root delegates

GOOD = (
    '@ IN A 185.199.108.153', "@ IN MX 10 mx.hoster.test.", 'www IN CNAME good.example.',
    '@ IN TXT "v=spf1 include:_spf.hoster.test -all"', '_dmarc IN TXT "v=DMARC1; p=reject; rua=mailto:d@good.example"',
    '@ IN CAA 0 issue "letsencrypt.org"', "s1._domainkey IN CNAME s1.keys.hoster.test.",
    "long IN TXT " + " ".join(f'"{LONG}"' for _ in range(8)),
)  # fmt: skip
FAULTY = (
    "@ IN A 185.199.108.153", "@ IN MX 10 mx.gone.test.", "@ IN MX 20 alias.hoster.test.", "@ IN MX 30 none.hoster.test.",
    "shop IN CNAME shop.free-name.test.", "app IN CNAME app-1.azurewebsites.net.", "hop IN CNAME one.hoster.test.",
    "loop IN CNAME loop.hoster.test.", "inside IN CNAME inside.hoster.test.", "sub IN NS ns1.faulty.example.",
    '@ IN TXT "v=spf1 include:_spf.gone.test include:_deep.hoster.test a:void1.hoster.test a:void2.hoster.test '
    'a:void3.hoster.test -all"',
    '_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:d@reports.test,mailto:d@willing.test,mailto:d@gone.test"',
)  # fmt: skip
HOSTER = (
    "mx IN A 185.199.110.1", '_spf IN TXT "v=spf1 ip4:185.199.110.0/24 -all"', "s1.keys IN TXT \"v=DKIM1; p=\"",
    "alias IN CNAME mx", 'none IN TXT "no address"', "one IN CNAME two", "two IN CNAME three", "three IN A 185.199.110.1",
    "loop IN CNAME pool", "pool IN CNAME loop", "inside IN A 10.0.0.9",
    '_deep IN TXT "v=spf1 ' + " ".join(f"include:_d{n}.hoster.test" for n in range(8)) + ' -all"',
    *(f'_d{n} IN TXT "v=spf1 ip4:185.199.110.{n} -all"' for n in range(8)),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Where it listens: the port of every name server, and the resolver's."""

    port: int
    resolver: Forwarder


@contextlib.contextmanager
def world(folder: Path, *, port: int = 0, copies: int = 0) -> Iterator[World]:
    """All of it, running; `copies` are further sound domains, `d0.example` on. A port of 0 is any free one.

    On port 53 BIND is a resolver for all of it as well.
    """
    places = _places(folder)
    for number in range(copies):
        zone = f"d{number}.example"
        text = zone_text(zone, *(row.replace("good.example", zone) for row in GOOD), hosts=HEALTHY)
        places[zone] = Place({NSD: text, KNOT: text}, delegated(zone, HEALTHY))
    by_server: dict[str, dict[str, str]] = {NSD: {}, BIND: {}, KNOT: {}}
    parent = zone_text("example", hosts={"ns": PARENT})
    for zone, place in places.items():
        for address, text in place.texts.items():
            by_server[address][zone] = text
        parent += place.delegation + "".join(line + "\n" for line in place.signers)
    by_server[NSD] |= _others()
    by_server[BIND]["root-servers.net"] = zone_text("root-servers.net", "a IN A 198.41.0.4", hosts={"ns1": BIND})
    port = port or free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(nsd(folder / "parent", PARENT, port, {"example": parent}))
        stack.enter_context(nsd(folder / "nsd", NSD, port, by_server[NSD]))
        stack.enter_context(bind(folder / "bind", BIND, port, by_server[BIND], _stubs() if port == 53 else None))
        stack.enter_context(knot(folder / "knot", KNOT, port, by_server[KNOT]))
        stack.enter_context(relay(UDP_ONLY, port, NSD))
        routes = {zone: (next(iter(place.texts)), port) for zone, place in places.items() if place.texts}
        routes |= dict.fromkeys(_others(), (NSD, port)) | {"example": (PARENT, port)}
        forwarder = Forwarder(routes)
        stack.callback(forwarder.close)
        yield World(port, forwarder)


def _stubs() -> dict[str, str]:
    return {"example": PARENT} | {zone: NSD for zone in _others() if "." not in zone or not zone.endswith(".test")}


def _others() -> dict[str, str]:
    """What the domains of the tests point at."""
    ns = {"ns1": NSD}
    return {
        "test": zone_text("test", "hoster IN NS ns1.test.", "reports IN A 185.199.110.2", 'willing IN A 185.199.110.3',
                          '*._report._dmarc.willing IN TXT "v=DMARC1"', hosts=ns),
        "hoster.test": zone_text("hoster.test", *HOSTER, hosts=ns),
        "azurewebsites.net": zone_text("azurewebsites.net", hosts=ns),
    }  # fmt: skip


def root_zone() -> str:
    """A root above all of it, for programs that resolve from the root."""
    lines = [f". 3600 IN SOA a.root. h.root. 1 14400 3600 1209600 3600\n. IN NS a.root.\na.root. IN A {ROOT}\n"]
    for zone, host, address in (("example", "ns.example", PARENT), *((zone, f"ns1.{zone}", NSD) for zone in TOPS)):
        lines.append(f"{zone}. IN NS {host}.\n{host}. IN A {address}\n")
    return "".join(lines)


def _places(folder: Path) -> dict[str, Place]:
    def plain(zone: str, *rows: str, hosts: dict[str, str]) -> Place:
        text = zone_text(zone, *rows, hosts=hosts)
        return Place(dict.fromkeys(hosts.values(), text), delegated(zone, hosts))

    def safe(zone: str, *options: str, digests: str = "-2") -> Place:
        text, signers = signed(folder / "keys" / zone, zone, zone_text(zone, hosts=HEALTHY), *options, digests=digests)
        return Place({NSD: text, KNOT: text}, delegated(zone, HEALTHY), signers)

    places = {
        "good.example": plain("good.example", *GOOD, hosts=HEALTHY),
        "faulty.example": plain("faulty.example", *FAULTY, hosts=HEALTHY),
        "open.example": plain("open.example", "secret IN A 185.199.108.153", hosts=CARELESS),
        "alone.example": plain("alone.example", hosts={"ns1": NSD}),
        "signed.example": safe("signed.example"),
        "expired.example": safe("expired.example", "-s", "20240101000000", "-e", "20240201000000"),
        "soon.example": safe("soon.example", "-e", "now+7200", digests="-1"),
        "salted.example": safe("salted.example", "-3", "aabb", "-H", "5"),
        "bogus.example": safe("bogus.example"),
        "secret.example": safe("secret.example"),
    }
    bogus = places["bogus.example"].signers
    places["bogus.example"].signers = [" ".join([*line.split()[:-1], "00" * 32]) for line in bogus]
    places["secret.example"].signers = []
    half = plain("lame.example", hosts=HEALTHY)
    del half.texts[KNOT]
    twice = plain("serial.example", hosts=HEALTHY)
    twice.texts[KNOT] = zone_text("serial.example", hosts=HEALTHY, serial=7)
    dated = plain("dated.example", hosts=HEALTHY)
    dated.texts = {NSD: zone_text("dated.example", hosts=HEALTHY, serial=2026010101),
                   KNOT: zone_text("dated.example", hosts=HEALTHY, serial=2026010102)}  # fmt: skip
    filtered = plain("filtered.example", hosts={"ns1": NSD, "ns2": UDP_ONLY})
    del filtered.texts[UDP_ONLY]
    differs = plain("differs.example", hosts={"ns1": NSD, "ns3": KNOT})
    differs.delegation = delegated("differs.example", {"ns1": KNOT, "ns2": NSD})
    nowhere = plain("nowhere.example", hosts=HEALTHY)
    nowhere.texts.clear()
    odd = zone_text("odd.example", hosts=HEALTHY).replace(" 14400 3600 1209600 3600", " 600 900 3600 999999")
    odd = odd.replace("hostmaster.odd.example.", "x.")
    return {
        **places, "lame.example": half, "serial.example": twice, "dated.example": dated,
        "filtered.example": filtered, "differs.example": differs, "nowhere.example": nowhere,
        "odd.example": Place({NSD: odd, KNOT: odd}, delegated("odd.example", HEALTHY)),
    }  # fmt: skip
