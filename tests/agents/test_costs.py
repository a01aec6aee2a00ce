"""Figures: each with its formula and inputs, exact to the cent, and none without them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from sophia_cli.agents.cost import figures
from sophia_cli.checks.facts import Background, Registration
from sophia_cli.core.costs import cents, renewal, run_rate
from sophia_cli.core.inventory import Instance
from sophia_cli.core.settings import Pulumi, Service, Stack
from sophia_cli.flows.analyze import examined
from sophia_cli.output.analysis import render
from tests.checks.check_cases import NOW, a, facts, wanting


def test_a_renewal_of_several_years_takes_price_and_fee_a_year() -> None:
    cost = renewal(Decimal("14.98"), Decimal("0.18"), 3, "USD", "list", NOW)
    assert cost.data()["amount"] == "45.48"
    assert cost.text() == "45.48 USD"


def test_a_run_rate_is_exact_to_the_cent_and_rounds_half_to_even() -> None:
    assert run_rate(129, "list", NOW).amount == Decimal("941.70")
    assert [str(cents(Decimal(text))) for text in ("0.125", "0.135", "2", "1e3")] == ["0.12", "0.14", "2.00", "1000.00"]


def test_every_known_cost_is_a_figure_of_its_own_with_its_source() -> None:
    price = renewal(Decimal("14.98"), Decimal("0.18"), 1, "USD", "users.getPricing", NOW)
    machine = Instance("i-1", "Lambda Cloud", "train", "active", "gpu_1x_a100", "us", None, 129, NOW)
    ended, unpriced = replace(machine, id="i-2", status="terminated"), replace(machine, id="i-3", cents_an_hour=None)
    background = Background(
        registration=Registration(renewal=price), inventory={one.id: one for one in (machine, ended, unpriced)}
    )
    services = (
        Service("web", stack="prod", config_key="app:replicas", unit_cost=Decimal("7.25")),
        Service("queue", stack="prod", config_key="app:workers", unit_cost=Decimal("1")),
        Service("free", stack="prod", config_key="app:replicas"),
    )
    stacks = Pulumi(stacks=(Stack("prod", "org/shop/prod", {"app:replicas": "3", "app:workers": None}),))
    settings = replace(wanting(), services=services, pulumi=stacks)
    one = facts(a(), settings=settings, background=background)
    assert [(figure.subject, figure.every, figure.cost.text()) for figure in figures([one, one])] == [
        ("acme.example", "year", "15.16 USD"),
        ("gpu_1x_a100 train", "month", "941.70 USD"),
        ("web", "period of unit_cost", "21.75 as given"),
    ]
    analysis = examined([one])
    assert [cost["formula"] for cost in analysis.data()["costs"]] == [
        "(price + fee) x years", "price an hour x hours a month", "unit_cost x units"
    ]  # fmt: skip
    text = " ".join(render(analysis, colour=False).split())
    assert "acme.example costs 15.16 USD a year: (price + fee) x years" in text
    assert "(price 14.98, fee 0.18, years 1; users.getPricing, 2026-11-22)" in text
    assert examined([one], agents=["dns"]).costs == ()
