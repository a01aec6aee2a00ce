"""Costs: sums of money with the formula and the inputs they come from. Asks nobody for a price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

HOURS_A_MONTH = Decimal(730)  # 365 days of 24 hours in 12 months


@dataclass(frozen=True, slots=True)
class Cost:
    """A sum, and how it was made: a figure is only shown with its formula, its inputs and where and when they were read."""

    amount: Decimal
    currency: str
    formula: str
    inputs: tuple[tuple[str, str], ...]
    source: str
    read: datetime

    def data(self) -> dict[str, Any]:
        """The shape evidence has; money is decimal text, never a float."""
        return {
            "amount": str(cents(self.amount)),
            "currency": self.currency,
            "formula": self.formula,
            "inputs": dict(self.inputs),
            "source": self.source,
            "read": self.read.isoformat(),
        }

    def text(self) -> str:
        """The sum as words."""
        return f"{cents(self.amount)} {self.currency}"


def cents(amount: Decimal) -> Decimal:
    """A sum rounded to the cent, halves to the even one."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def renewal(price: Decimal, fee: Decimal, years: int, currency: str, source: str, read: datetime) -> Cost:
    """What renewing a domain costs: price and fee are per year, also when several years are bought (getPricing)."""
    inputs = (("price", str(price)), ("fee", str(fee)), ("years", str(years)))
    return Cost((price + fee) * years, currency, "(price + fee) x years", inputs, source, read)


def run_rate(cents_an_hour: int, source: str, read: datetime) -> Cost:
    """What an instance costs in a month in which it runs all the time, at its list price."""
    hourly = Decimal(cents_an_hour) / 100
    inputs = (("price an hour", str(hourly)), ("hours a month", str(HOURS_A_MONTH)))
    return Cost(hourly * HOURS_A_MONTH, "USD", "price an hour x hours a month", inputs, source, read)


def service_cost(unit_cost: Decimal, count: int, source: str, read: datetime) -> Cost:
    """What a scaled service costs: its price a unit, as the environment gives it, times the units it has."""
    inputs = (("unit_cost", str(unit_cost)), ("units", str(count)))
    return Cost(unit_cost * count, "as given", "unit_cost x units", inputs, source, read)
