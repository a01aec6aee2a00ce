"""`dns.delegation`: which servers answer for the domain is a critical change of its own, apart from the records."""

from __future__ import annotations

import pytest

from tests.cli.harness import DOMAIN, Shop

ELSEWHERE = "delegation: [ns1.other.example, ns2.other.example]"
API = "{name: api, type: A, value: 203.0.113.99}"


def servers(acme: Shop) -> tuple[str, ...]:
    """Whom the sandbox has the domain delegated to, read beside the API; empty is the provider itself."""
    from sophia_cli.sandbox import peek

    domain = peek(acme.data_file, DOMAIN)
    assert domain is not None
    return tuple(domain.nameservers)


def moved_away(acme: Shop) -> None:
    acme.environment(dns=ELSEWHERE)
    assert acme.run("deploy", "--yes", "--confirm", DOMAIN).code == 0


def test_delegating_elsewhere_is_critical_and_wants_the_name(acme: Shop) -> None:
    acme.environment(dns=ELSEWHERE)
    (change,) = acme.run("plan", "-o", "json").data["changes"]
    assert (change["kind"], change["risk"], change["action"]) == ("dns.nameservers", "critical", "update")
    assert change["after"] == {"nameservers": ["ns1.other.example", "ns2.other.example"]}
    assert acme.run("deploy", "--yes").code == 3
    assert servers(acme) == ()


def test_delegated_elsewhere_the_records_stay_and_the_next_plan_is_empty(acme: Shop) -> None:
    before = acme.rows()
    moved_away(acme)
    assert servers(acme) == ("ns1.other.example", "ns2.other.example")
    assert acme.rows() == before
    again = acme.run("plan", "--detailed-exitcode")
    assert again.code == 0
    assert "delegated elsewhere, so its records are not looked at" in again.out
    assert acme.run("heal").code == 0


def test_coming_back_is_planned_first_and_the_records_then(acme: Shop) -> None:
    moved_away(acme)
    acme.environment(API, dns="delegation: default")
    first = acme.run("plan", "-o", "json").data
    assert [change["kind"] for change in first["changes"]] == ["dns.nameservers"]
    assert acme.run("deploy", "--yes", "--confirm", DOMAIN).code == 0
    assert servers(acme) == ()
    second = acme.run("plan", "-o", "json").data
    assert [change["kind"] for change in second["changes"]] == ["dns.record"]


def test_rollback_brings_the_former_servers_back(acme: Shop) -> None:
    moved_away(acme)
    assert acme.run("rollback", "--yes", "--confirm", DOMAIN).code == 0
    assert servers(acme) == ()


def test_heal_reports_a_delegation_that_somebody_changed_and_never_touches_it(acme: Shop) -> None:
    moved_away(acme)
    acme.environment(
        dns="delegation: [ns3.other.example, ns4.other.example]", more="ai_infrastructure: {autonomy: autonomous}"
    )
    healed = acme.run("heal", "-o", "json")
    assert healed.code == 2
    assert [entry["finding"]["target"] for entry in healed.data["open"]] == [f"delegation:{DOMAIN}"]
    assert servers(acme) == ("ns1.other.example", "ns2.other.example")


def test_without_the_key_the_delegation_is_kept(acme: Shop) -> None:
    acme.environment(API)
    plan = acme.run("plan", "-o", "json").data
    assert {change["kind"] for change in plan["changes"]} == {"dns.record"}
    assert [target["id"] for target in plan["targets"]] == [f"dns:{DOMAIN}"]


@pytest.mark.parametrize("written", ["[ns1.other.example]", "[203.0.113.1, 203.0.113.2]", "elsewhere"])
def test_what_no_registrar_takes_is_refused_before_any_call(acme: Shop, written: str) -> None:
    acme.environment(dns=f"delegation: {written}")
    assert acme.run("plan").code == 64
