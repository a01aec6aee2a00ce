"""One API call as a command sees it, and what a command gives back. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sophia_cli.sandbox.account import Account, Domain, Refusal, Switches
from sophia_cli.sandbox.envelope import Node


@dataclass(frozen=True, slots=True)
class Call:
    """A checked call: parameter names are lower-case; `now` is seconds since the epoch."""

    account: Account
    params: Mapping[str, str]
    switches: Switches
    now: float

    def text(self, name: str) -> str:
        """A parameter without surrounding white space; empty when it was not sent."""
        return self.params.get(name.lower(), "").strip()

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number, held within bounds."""
        text = self.text(name)
        return min(max(int(text), low), high) if re.fullmatch(r"\d{1,9}", text) else default

    @property
    def today(self) -> date:
        """The day of the call, UTC."""
        return datetime.fromtimestamp(self.now, UTC).date()

    def joined(self) -> str:
        """The name that SLD and TLD make: the server joins them with a dot (recorded)."""
        return alabel(".".join(part for part in (self.text("sld"), self.text("tld")) if part))

    def named(self) -> str:
        """The name in `DomainName`."""
        return alabel(self.text("domainname"))

    def shown(self, name: str) -> str:
        """A domain name in the form that answers use."""
        return ulabel(name) if self.switches.idn == "unicode" else name

    def asked(self) -> str:
        """The domain of the call in the form that answers use, however it was named."""
        return self.shown(self.named() if "domainname" in self.params else self.joined())

    def editable(self, right: str, *, missing: int = 2019166) -> Domain:
        """The domain of SLD and TLD (or DomainName), which this account may edit; raises Refusal."""
        if "domainname" not in self.params and not (self.text("sld") and self.text("tld")):
            raise Refusal(self.switches.number_missing_name, "Parameter SLD or TLD is missing")
        name = self.named() if "domainname" in self.params else self.joined()
        domain = self.account.domains.get(name)
        if domain is not None and (domain.owner == self.account.username or (right, "OK") in domain.rights):
            return domain
        raise Refusal(missing, f"The domain ({name}) doesn't seem to be associated with your account.")

    def hosted(self, right: str) -> Domain:
        """The same, and it uses our nameservers."""
        domain = self.editable(right)
        if domain.nameservers:
            raise Refusal(2030288, "Cannot complete this command as this domain is not using proper DNS servers")
        return domain


@dataclass(frozen=True, slots=True)
class Done:
    """What a command gives back; `account` None means nothing changed."""

    result: tuple[Node, ...]
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command by its canonical name; `skeleton` is the result that stands in an error answer (recorded)."""

    name: str
    run: Callable[[Call], Done]
    skeleton: Callable[[Call], tuple[Node, ...]] = lambda _call: ()


def us_date(day: date | None) -> str:
    """`MM/DD/YYYY`, the API's form."""
    return day.strftime("%m/%d/%Y") if day else ""


def flag(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def alabel(name: str) -> str:
    """A name lower-cased and in A-labels; what cannot be encoded stays."""
    lowered = name.lower().rstrip(".")
    if lowered.isascii():
        return lowered
    try:
        return lowered.encode("idna").decode("ascii")
    except UnicodeError:
        return lowered


def ulabel(name: str) -> str:
    """A name with its A-labels decoded; what cannot be decoded stays."""
    try:
        return name.encode("ascii").decode("idna")
    except UnicodeError:
        return name


def page_of(call: Call, low: int) -> tuple[int, int]:
    """`Page` and `PageSize` as asked; the size is 20 when absent and held within `low`..100."""
    return call.number("page", 1, 1, 10**6), call.number("pagesize", 20, low, 100)


def paging(total: int, page: int, size: int) -> Node:
    """The Paging element, a sibling of the result."""
    values = {"TotalItems": total, "CurrentPage": page, "PageSize": size}
    return Node("Paging", children=tuple(Node(name, text=str(value)) for name, value in values.items()))
