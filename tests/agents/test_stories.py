"""Stories: what follows from one cause is told with it, and nothing that does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.agents.stories import LINKS, joined
from sophia_cli.checks.catalogue import RULES
from sophia_cli.core.changes import Change
from sophia_cli.core.findings import SEVERITIES, Finding, Fix
from tests.checks.check_cases import a, cname, txt

SHOP = cname("shop", "dead.net.")
SPF = txt("v=spf1 include:dead.net -all")


def found(
    id: str, *rows: Any, severity: str = "high", fix: bool = False, target: str = "dns:acme.example", **evidence: Any
) -> Finding:
    changes = (Change(target, "dns.record", "delete", a(), None, f"rule:{id}"),)
    return Finding(
        id, RULES[id].agent, severity, target, f"about {id}",  # type: ignore[arg-type]
        {"records": [row.data() for row in rows], **evidence}, fix=Fix(changes, False) if fix else None,
    )  # fmt: skip


GONE = found("DNS-DANGLE-NX", SHOP, severity="critical", fix=True, question="dead.net A", answer="nxdomain")


def told(*findings: Finding) -> dict[str, Finding]:
    return {one.id: one for one in joined(sorted(findings, key=Finding.order))}


def test_a_dangling_cname_that_also_breaks_tls_and_spf_is_one_story() -> None:
    tls = found("TLS-NAME", SHOP, endpoints=["shop.acme.example:443 (9.9.9.9)"])
    spf = found("MAIL-SPF-INCLUDE", SPF, terms=["include:dead.net"])
    web = found("WEB-HTTPS", SHOP, hosts=[{"host": "shop.acme.example", "https": "refused"}])
    stories = told(GONE, tls, spf, web)
    assert list(stories) == ["DNS-DANGLE-NX"]
    story = stories["DNS-DANGLE-NX"].evidence
    assert story["also"] == ["MAIL-SPF-INCLUDE", "TLS-NAME", "WEB-HTTPS"]
    assert "TLS-NAME: about TLS-NAME" in story["story"]


def test_what_is_about_other_hosts_too_keeps_its_own_place() -> None:
    both = found("WEB-HTTPS", SHOP, a("www"), hosts=[{"host": "shop.acme.example"}, {"host": "www.acme.example"}])
    other = found("MAIL-SPF-INCLUDE", SPF, terms=["include:alive.net"])
    assert set(told(GONE, both, other)) == {"DNS-DANGLE-NX", "WEB-HTTPS", "MAIL-SPF-INCLUDE"}


def test_a_dead_sender_does_not_break_the_name_that_lists_it() -> None:
    sender = found("DNS-DANGLE-NX", SPF, question="dead.net TXT")
    apex = found("TLS-NAME", a(), endpoints=["acme.example:443 (9.9.9.9)"])
    assert set(told(sender, apex)) == {"DNS-DANGLE-NX", "TLS-NAME"}
    assert set(told(sender, found("MAIL-SPF-INCLUDE", SPF, terms=["include:dead.net"]))) == {"DNS-DANGLE-NX"}


def test_a_fault_of_a_server_says_nothing_of_the_alias_target() -> None:
    www = cname("www", "acme.example.")
    expired = found("TLS-EXPIRY", www, endpoints=["www.acme.example:443 (9.9.9.9)"])
    apex = found("WEB-HSTS", a(), hosts=[{"host": "acme.example"}])
    assert set(told(expired, apex)) == {"TLS-EXPIRY", "WEB-HSTS"}
    same = found("WEB-HSTS", www, hosts=[{"host": "www.acme.example"}])
    assert set(told(expired, same)) == {"TLS-EXPIRY"}


def test_a_story_is_as_bad_as_the_worst_in_it_and_is_told_by_its_first_cause() -> None:
    gone = found("DNS-DANGLE-NX", SHOP, severity="high", question="dead.net A")
    service = found("DNS-DANGLE-SVC", SHOP, severity="critical")
    tls = found("TLS-CHAIN", SHOP, severity="high", endpoints=["shop.acme.example:443 (9.9.9.9)"])
    hsts = found("WEB-HSTS", SHOP, severity="medium", hosts=[{"host": "shop.acme.example"}])
    stories = told(gone, service, tls, hsts)
    assert list(stories) == ["DNS-DANGLE-NX"]
    assert stories["DNS-DANGLE-NX"].severity == "critical"
    assert stories["DNS-DANGLE-NX"].evidence["also"] == ["DNS-DANGLE-SVC", "TLS-CHAIN", "WEB-HSTS"]


def test_a_fix_is_never_lost_in_a_story() -> None:
    cause = found("DNS-CNAME-LOOP", SHOP)
    effect = found("DNS-MX-CNAME", SHOP, fix=True)
    assert set(told(cause, effect)) == {"DNS-CNAME-LOOP", "DNS-MX-CNAME"}


def test_zones_do_not_share_stories() -> None:
    other = found("MAIL-SPF-INCLUDE", SPF, terms=["include:dead.net"], target="dns:b.example")
    assert len(joined([GONE, other])) == 2


def test_links_name_checks_of_the_catalogue_and_lead_in_no_circle() -> None:
    assert {id for link in LINKS for id in (link.cause, link.effect)} <= set(RULES)
    after: dict[str, set[str]] = {}
    for link in LINKS:
        after.setdefault(link.cause, set()).add(link.effect)

    def below(id: str, path: tuple[str, ...]) -> None:
        assert id not in path
        for effect in after.get(id, ()):
            below(effect, (*path, id))

    for id in after:
        below(id, ())


ids = sorted({id for link in LINKS for id in (link.cause, link.effect)})
some = st.lists(
    st.builds(
        lambda id, severity, row, fix: found(id, row, severity=severity, fix=fix, host="shop.acme.example"),
        st.sampled_from(ids), st.sampled_from(SEVERITIES), st.sampled_from([SHOP, a(), SPF]), st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@given(some)
def test_every_finding_is_told_exactly_once_and_the_worst_stays_the_worst(findings: list[Finding]) -> None:
    stories = joined(findings)
    assert sum(1 + len(one.evidence.get("story", ())) for one in stories) == len(findings)
    assert list(stories) == sorted(stories, key=Finding.order)
    if findings:
        worst = max(findings, key=lambda one: SEVERITIES.index(one.severity)).severity
        assert stories[0].severity == worst
    assert {one.id for one in findings if one.fix is not None} <= {
        id for story in stories if story.fix is not None for id in (story.id, *story.evidence.get("also", ()))
    }


@pytest.mark.parametrize("text", ["", "   ", "a b", "://", "https://", "[::1]:443 (::1)", "\x00.\x01"])
def test_odd_evidence_makes_no_story_and_no_error(text: str) -> None:
    odd = found("WEB-HTTPS", SHOP, host=text, hosts=[text, {"host": text}, 7, None])
    assert len(joined([GONE, odd])) >= 1
