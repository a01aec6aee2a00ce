"""Namecheap's XML, read with suspicion: what is not a whole ApiResponse is an error, never *nothing there*."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from sophia_cli.core.dns import ascii_name, shown
from sophia_cli.core.errors import BadResponse, IncompleteRead

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAMESPACE = "http://api.namecheap.com/xml.response"
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:\s|\Z)")


@dataclass(frozen=True, slots=True)
class ApiError:
    """One <Error>: its number (0 when it is no number) and text, as sent."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed ApiResponse. `response` is None in errors that stand before any command."""

    is_ok: bool
    is_contradictory: bool
    """It says OK and names errors."""
    errors: tuple[ApiError, ...]
    response: Element | None


def envelope(body: bytes, command: str) -> Envelope:
    """The envelope of an answer to `command`; raises BadResponse."""
    root = _root(body)
    status = root.get("Status", "").upper()
    if status not in ("OK", "ERROR"):
        raise BadResponse(f"{command}: the answer has no Status")
    errors = tuple(
        ApiError(_error_number(item), (item.text or "").strip()) for parent in _all(root, "Errors") for item in parent
    )
    responses = _all(root, "CommandResponse")
    if status == "OK" and not errors:
        if len(responses) != 1:
            raise BadResponse(f"{command}: the answer holds {len(responses)} command responses")
        kind = responses[0].get("Type", "")
        if kind.lower() != command.lower():
            raise BadResponse(f"{command}: the answer is one to {shown(kind)}")
    elif not errors:
        raise BadResponse(f"{command}: the answer says ERROR and names none")
    return Envelope(
        status == "OK" and not errors, status == "OK" and bool(errors), errors, responses[0] if responses else None
    )


def _root(body: bytes) -> Element:
    if not body.strip():
        raise BadResponse("the answer is empty")
    try:
        root: Element = fromstring(body, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise BadResponse(f"the answer holds what no ApiResponse has ({type(error).__name__})") from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise BadResponse(f"the answer is {described(body)}, not XML that can be read") from error
    space = _space(root)
    # Local names are matched, so a foreign namespace must be refused here: read as *no rows*, it once emptied a zone.
    if local(root) != "ApiResponse" or space not in (NAMESPACE, ""):
        raise BadResponse(f"the answer is not an ApiResponse but {shown(root.tag)}")
    if any(_space(item) != space for item in root.iter()):
        raise BadResponse("the answer mixes namespaces")
    return root


def described(body: bytes) -> str:
    """What a body looks like, without quoting it: it may echo what was sent."""
    start = body[:200].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return "broken or cut XML" if start.startswith(b"<") else "something else"


def _space(element: Element) -> str:
    tag = str(element.tag)
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _all(parent: Element, name: str) -> list[Element]:
    return [item for item in parent if local(item) == name]


def _error_number(item: Element) -> int:
    text = item.get("Number", "")
    return int(text) if re.fullmatch(r"\d{1,12}", text) else 0


class Result:
    """The element that holds a command's result; its readers raise BadResponse for what is absent or malformed."""

    __slots__ = ("element", "where")

    def __init__(self, element: Element, where: str) -> None:
        self.element = element
        self.where = where

    @classmethod
    def only(cls, response: Element | None, name: str, where: str) -> Result:
        """The one element of that name inside a response."""
        found = [] if response is None else _all(response, name)
        if len(found) != 1:
            raise BadResponse(f"{where}: the answer holds {len(found)} {name} elements")
        return cls(found[0], where)

    def children(self, *names: str, others: tuple[str, ...] = ("Warnings",)) -> Iterator[Result]:
        """The children of these names; one of another name is an error, because it may be a row that is not understood."""
        for item in self.element:
            if local(item) in names:
                yield Result(item, self.where)
            elif local(item) not in others:
                raise BadResponse(f"{self.where}: the answer holds an unknown element {shown(local(item))}")

    def within(self, name: str) -> Result:
        """The one child of that name."""
        return Result.only(self.element, name, self.where)

    def optional(self, name: str) -> Result | None:
        """The first child of that name, if any."""
        found = _all(self.element, name)
        return Result(found[0], self.where) if found else None

    def content(self) -> str:
        """The element's text."""
        return (self.element.text or "").strip()

    def inner(self, name: str) -> str:
        """The text of a child; empty when it is absent."""
        found = self.optional(name)
        return found.content() if found else ""

    def text(self, name: str, *, default: str | None = None) -> str:
        """An attribute as sent."""
        value = self.element.get(name, default)
        if value is None:
            raise BadResponse(f"{self.where}: {local(self.element)} has no {name}")
        return value

    def name(self, name: str = "Domain") -> str:
        """A domain name, in A-labels."""
        return ascii_name(self.text(name).strip()).rstrip(".")

    def mail_mode(self) -> str:
        """EmailType; raises IncompleteRead when it is absent, because a write without it may turn mail off."""
        mode = self.element.get("EmailType", "").strip()
        if not mode:
            raise IncompleteRead(
                f"{self.where}: the answer does not say the e-mail type",
                hint="nothing is written on the strength of it; run again",
            )
        return "NONE" if mode.lower() == "no email service" else mode.upper()

    def flag(self, name: str) -> bool:
        """A boolean attribute."""
        value = self.maybe(name)
        if value is None:
            raise BadResponse(f"{self.where}: {local(self.element)} has no {name}")
        return value

    def maybe(self, name: str) -> bool | None:
        """A boolean attribute, None when absent."""
        text = self.element.get(name, "").strip().lower()
        if text in ("true", "false"):
            return text == "true"
        if not text:
            return None
        raise BadResponse(f"{self.where}: {name} is {shown(text)}, not true or false")

    def number(self, name: str, *, default: int | None = None) -> int:
        """A whole number attribute."""
        text = self.element.get(name)
        if text is None and default is not None:
            return default
        if text is None or not re.fullmatch(r"\s*\d{1,10}\s*", text):
            raise BadResponse(f"{self.where}: {name} is {shown(text or '')}, not a number")
        return int(text)

    def money(self, name: str, *, default: str | None = None) -> Decimal:
        """An amount attribute."""
        text = self.text(name, default=default)
        try:
            amount = Decimal(text.strip())
        except InvalidOperation as error:
            raise BadResponse(f"{self.where}: {name} is {shown(text)}, not an amount") from error
        if not amount.is_finite():
            raise BadResponse(f"{self.where}: {name} is {shown(text)}, not an amount")
        return amount

    def day(self, name: str) -> date | None:
        """A `M/D/YYYY` attribute; None when absent, empty or not a date."""
        return us_date(self.element.get(name, ""))


def us_date(text: str) -> date | None:
    """The day in `M/D/YYYY`, with or without a time behind; None for anything else."""
    found = _US_DATE.match(text.strip())
    if found is None:
        return None
    month, day, year = (int(part) for part in found.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None
