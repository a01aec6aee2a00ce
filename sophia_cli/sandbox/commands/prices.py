"""The sandbox's price list and top-level domains: figures made up in the shape of the recorded ones."""

from __future__ import annotations

from decimal import Decimal

TLDS = {
    "biz": "US Business",
    "cloud": "Cloud",
    "co.uk": "United Kingdom",
    "com": "Commercial",
    "de": "Germany",
    "dev": "Developers",
    "example": "Documentation",
    "info": "Information",
    "io": "Indian Ocean",
    "net": "Network",
    "org": "Organisation",
    "test": "Tests",
}
FEE = Decimal("0.18")  # a year
DOMAIN_ACTIONS = ("REGISTER", "RENEW", "REACTIVATE", "TRANSFER")
SSL_TYPES = {
    "standardssl": Decimal("11.00"),
    "standardwildcardssl": Decimal("65.00"),
    "evssl": Decimal("79.00"),
}
# What the renamed types of 11 July 2026 were called before; old names are still taken (API reference, ssl.create).
SSL_RENAMED = {
    "positivessl": "Standard SSL",
    "essentialssl": "Standard SSL",
    "positivessl wildcard": "Standard Wildcard SSL",
}
SSL_NAMES = {"standardssl": "Standard SSL", "standardwildcardssl": "Standard Wildcard SSL", "evssl": "EV SSL"}

_FIRST = {
    "REGISTER": Decimal("8.88"),
    "RENEW": Decimal("12.98"),
    "REACTIVATE": Decimal("12.98"),
    "TRANSFER": Decimal("9.48"),
}


def yearly(action: str, tld: str, years: int) -> Decimal | None:
    """The price of one year when `years` are bought (recorded: the figure is per year); None for an unknown product."""
    if tld not in TLDS or action not in _FIRST or not 1 <= years <= 10:
        return None
    return _FIRST[action] if years == 1 else _FIRST[action] + 2


def total(action: str, tld: str, years: int) -> Decimal | None:
    """What `years` cost with the fee."""
    price = yearly(action, tld, years)
    return None if price is None else (price + FEE) * years
