"""namecheap.users.*: balances and prices. Pure."""

from __future__ import annotations

from decimal import Decimal

from sophia_cli.sandbox.account import Refusal
from sophia_cli.sandbox.commands.call import Call, Command, Done
from sophia_cli.sandbox.commands.prices import DOMAIN_ACTIONS, FEE, SSL_TYPES, TLDS, total, yearly
from sophia_cli.sandbox.envelope import Node

_NOTICE_DAYS = 90  # FundsRequiredForAutoRenew looks this far ahead (API reference)


def _balances(call: Call) -> Done:
    due = [
        total("RENEW", domain.name.partition(".")[2], 1) or Decimal(0)
        for domain in call.account.owned()
        if domain.auto_renew and (domain.expires - call.today).days <= _NOTICE_DAYS
    ]
    attributes = {
        "Currency": "USD",
        "AvailableBalance": f"{call.account.balance:.2f}",
        "AccountBalance": f"{call.account.balance:.2f}",
        "EarnedAmount": "0.00",
        "WithdrawableAmount": "0.00",
        "FundsRequiredForAutoRenew": f"{sum(due, Decimal(0)):.2f}",
    }
    return Done((Node("UserGetBalancesResult", attributes),))


def _pricing(call: Call) -> Done:
    kind = call.text("producttype").upper()
    if kind not in ("DOMAIN", "SSLCERTIFICATE", "WHOISGUARD"):
        raise Refusal(2011298, "ProductType is invalid")
    action = call.text("actionname").upper()
    product = call.text("productname").lower()
    if kind == "DOMAIN":
        rows = _domain_prices(action, product)
        return Done((Node("UserGetPricingResult", children=_typed("domains", rows)),))
    rows = _ssl_prices(action, product) if kind == "SSLCERTIFICATE" else ()
    return Done((Node("UserGetPricingResult", children=_typed("ssl" if rows else "whoisguard", rows)),))


def _typed(name: str, rows: tuple[Node, ...]) -> tuple[Node, ...]:
    return (Node("ProductType", {"Name": name}, rows),) if rows else ()


def _domain_prices(action: str, product: str) -> tuple[Node, ...]:
    actions = [action] if action else list(DOMAIN_ACTIONS)
    names = [product] if product else sorted(TLDS)
    rows = []
    for each in actions:
        products = tuple(Node("Product", {"Name": name}, prices) for name in names if (prices := _years(each, name)))
        if products:
            rows.append(Node("ProductCategory", {"Name": each.lower()}, products))
    return tuple(rows)


def _years(action: str, tld: str) -> tuple[Node, ...]:
    rows = []
    for years in range(1, 11):
        price = yearly(action, tld, years)
        if price is not None:
            rows.append(_price(years, price, {"AdditionalCost": FEE, "YourAdditonalCost": FEE}))
    return tuple(rows)


def _ssl_prices(action: str, product: str) -> tuple[Node, ...]:
    names = [product] if product else sorted(SSL_TYPES)
    rows = tuple(
        Node("Product", {"Name": name}, tuple(_price(years, SSL_TYPES[name], {}) for years in range(1, 6)))
        for name in names
        if name in SSL_TYPES
    )
    return (Node("ProductCategory", {"Name": (action or "PURCHASE").lower()}, rows),) if rows else ()


def _price(years: int, price: Decimal, costs: dict[str, Decimal]) -> Node:
    attributes = {
        "Duration": str(years),
        "DurationType": "YEAR",
        "Price": str(price),
        "PricingType": "MULTIPLE",
        "RegularPrice": str(price + 2),
        "RegularPriceType": "MULTIPLE",
        "YourPrice": str(price),
        "YourPriceType": "MULTIPLE",
        # YourAdditonalCost is misspelt on the wire (recorded).
        **{name: str(cost) for name, cost in costs.items()},
        "PromotionPrice": "0.0",
        "Currency": "USD",
    }
    return Node("Price", attributes)


COMMANDS = (
    Command("namecheap.users.getBalances", _balances),
    Command("namecheap.users.getPricing", _pricing),
)
