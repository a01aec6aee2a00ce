"""Which endpoints live TLS looks at, and that each is looked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sophia_cli.checks.facts import Facts
from sophia_cli.core.dns import Zone
from sophia_cli.core.endpoints import SMTP, Endpoint, Target, untested
from sophia_cli.core.settings import Monitoring
from sophia_cli.flows.live_tls import MOST_TARGETS, wishes, with_tls
from tests.checks.check_cases import NOW, a, cname, mx, wanting
from tests.checks.tls_cases import MAIL_ROWS, policy, seen


@dataclass
class Port:
    """Remembers what it was asked, and sees nobody."""

    looks: list[tuple[tuple[Target, ...], frozenset[str]]] = field(default_factory=list)

    async def look(self, targets: Sequence[Target], trusted: frozenset[str]) -> Sequence[Endpoint]:
        self.looks.append((tuple(targets), trusted))
        return [Endpoint(target, (), untested("nobody is there")) for target in targets]


def zone(name: str, *rows: object, urls: tuple[str, ...] = ()) -> Facts:
    settings = replace(wanting(), monitoring=Monitoring(ping_endpoints=urls))
    home = replace(settings.zones[0], name=name)
    return Facts(Zone.of(name, "NONE", rows), NOW, replace(settings, zones=(home,)))  # type: ignore[arg-type]


def test_all_endpoints_of_all_zones_are_looked_at_by_one_call_and_each_zone_gets_its_own() -> None:
    port = Port()
    one = zone("one.example", a(), cname("www", "one.example."), urls=("https://Status.other.example:8443/x",))
    two = zone("two.example", a())
    first, second = asyncio.run(with_tls([one, two], port))
    ((targets, trusted),) = port.looks
    assert {target.label for target in targets} == {
        "one.example:443", "www.one.example:443", "status.other.example:8443", "two.example:443"
    }  # fmt: skip
    assert trusted == {"status.other.example"}
    assert [endpoint.label for endpoint in second.endpoints] == ["two.example:443"]
    assert len(first.endpoints) == 3


def test_a_watched_address_that_is_none_or_without_tls_is_no_endpoint() -> None:
    urls = ("http://one.example/", "https://one.example:x/", "https://[::1", "https://")
    assert wishes(zone("one.example", urls=urls)) == ()


def test_mail_servers_are_asked_only_where_senders_are_to_refuse_them() -> None:
    mail = Target("mail.acme.example", SMTP, "smtp")
    assert mail in wishes(seen(rows=MAIL_ROWS, http=policy("enforce")))
    assert mail not in wishes(seen(rows=MAIL_ROWS, http=policy("testing")))
    assert mail not in wishes(seen(rows=(a(), mx("mail.acme.example."))))


def test_a_zone_of_very_many_names_is_looked_at_in_part() -> None:
    port = Port()
    facts = zone("one.example", *(a(f"n{n}") for n in range(MOST_TARGETS + 5)))
    (known,) = asyncio.run(with_tls([facts], port))
    assert len(port.looks[0][0]) == MOST_TARGETS
    left = [endpoint.found.why for endpoint in known.endpoints[MOST_TARGETS:]]
    assert left == [f"the zone has more than {MOST_TARGETS} endpoints"] * 5
