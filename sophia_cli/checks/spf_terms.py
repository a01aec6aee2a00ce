"""SPF records as values: the whole grammar of RFC 7208 section 12. Evaluates nothing and asks no server."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_MACRO = r"%\{[slodipvhcrtSLODIPVHCRT][0-9]*[rR]?[.\-+,/_=]*\}|%%|%_|%-"
_MACRO_STRING = rf"(?:{_MACRO}|[\x21-\x24\x26-\x7e])*"
_TOP = r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])"
_DOMAIN = re.compile(
    rf"{_MACRO_STRING}(?:\.{_TOP}\.?|%\{{[slodipvhcrtSLODIPVHCRT][0-9]*[rR]?[.\-+,/_=]*\}}|%%|%_|%-)\Z"
)
_STRING = re.compile(rf"{_MACRO_STRING}\Z")
_EXP_ONLY = re.compile(r"%\{[crtCRT]")
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)\Z", re.S)
_MECHANISM = re.compile(
    r"([-+?~]?)([A-Za-z0-9]+)(?::(.*?))?((?:/(?:0|[1-9][0-9]?))?(?://(?:0|[1-9][0-9]{0,2}))?)\Z", re.S
)
_LOOKUPS = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})  # each costs one (4.6.4)


@dataclass(frozen=True, slots=True)
class Term:
    """A mechanism or modifier. `text` is as written; `domain` may hold macros; widths are prefix lengths."""

    text: str
    name: str
    qualifier: str = "+"
    domain: str | None = None
    network: str | None = None
    width4: int | None = None
    width6: int | None = None
    modifier: bool = False

    @property
    def costs_lookup(self) -> bool:
        """Whether evaluating it asks DNS."""
        return self.name in _LOOKUPS

    @property
    def has_macro(self) -> bool:
        """Whether its domain depends on the message."""
        return self.domain is not None and "%" in self.domain


@dataclass(frozen=True, slots=True)
class Spf:
    """One record: its terms in order, and every breach of the grammar as (term, reason)."""

    terms: tuple[Term, ...]
    errors: tuple[tuple[str, str], ...]

    def named(self, name: str) -> tuple[Term, ...]:
        """The terms of one name."""
        return tuple(term for term in self.terms if term.name == name)

    @property
    def mechanisms(self) -> tuple[Term, ...]:
        """The terms that can match."""
        return tuple(term for term in self.terms if not term.modifier)


def is_selected(value: str) -> bool:
    """Whether a TXT value is an SPF record at all (4.5)."""
    lowered = value.lower()
    return lowered == "v=spf1" or lowered.startswith("v=spf1 ")


def parse(value: str) -> Spf:
    """The record of a selected TXT value; never raises."""
    terms: list[Term] = []
    errors: list[tuple[str, str]] = []
    for text in (part for part in value[6:].split(" ") if part):
        term = _modifier(text) or _mechanism(text)
        if isinstance(term, str):
            errors.append((text, term))
        else:
            if term.name in ("redirect", "exp") and any(other.name == term.name for other in terms):
                errors.append((text, f"{term.name} may stand there once"))
            terms.append(term)
    return Spf(tuple(terms), tuple(errors))


def _modifier(text: str) -> Term | str | None:
    match = _MODIFIER.match(text)
    if match is None:
        return None
    name, value = match.group(1).lower(), match.group(2)
    if name in ("redirect", "exp"):
        return _domain_problem(value, name) or Term(text, name, domain=value, modifier=True)
    if not _STRING.match(value):
        return "the value is no macro-string"
    return Term(text, name, modifier=True)


def _mechanism(text: str) -> Term | str:
    plain = _ip(text)
    if plain is not None:
        return plain
    match = _MECHANISM.match(text)
    if match is None:
        return "not a mechanism"
    qualifier, name, domain, widths = match.group(1) or "+", match.group(2).lower(), match.group(3), match.group(4)
    if name not in ("all", "include", "a", "mx", "ptr", "exists"):
        return f"unknown mechanism {name!a}"
    if name not in ("a", "mx") and widths:
        if domain is None:
            return f"{name} takes no prefix length"
        domain, widths = domain + widths, ""  # a slash may stand in a macro-string
    if name == "all" and domain is not None:
        return "all takes no domain"
    if name in ("include", "exists") and domain is None:
        return f"{name} needs a domain"
    if domain is not None:
        problem = _domain_problem(domain, name)
        if problem is not None:
            return problem
    short, _, long = widths.partition("//")
    width4 = int(short[1:]) if short else None
    width6 = int(long) if long else None
    if (width4 or 0) > 32 or (width6 or 0) > 128:
        return "the prefix length is too long"
    return Term(text, name, qualifier, domain, None, width4, width6)


def _ip(text: str) -> Term | str | None:
    match = re.match(r"([-+?~]?)(ip[46])(.*)\Z", text, re.I | re.S)
    if match is None:
        return None
    qualifier, name, rest = match.group(1) or "+", match.group(2).lower(), match.group(3)
    version = int(name[2])
    address, slash, length = rest[1:].partition("/")
    limit = 32 if version == 4 else 128
    if not rest.startswith(":"):
        return f"{name} needs an address after a colon"
    try:
        good = ipaddress.ip_address(address).version == version and "%" not in address
    except ValueError:
        good = False
    if not good:
        return f"not an IPv{version} address"
    if slash and (not re.match(r"(0|[1-9][0-9]*)\Z", length) or int(length[:4]) > limit):
        return f"the prefix length is not 0..{limit}"
    width = int(length) if slash else limit
    return Term(text, name, qualifier, None, address, width if version == 4 else None, width if version == 6 else None)


def _domain_problem(text: str, name: str) -> str | None:
    if not _DOMAIN.match(text):
        return f"{name} needs a whole domain name" if "%" not in text else f"{name} holds a bad macro"
    if name != "exp" and _EXP_ONLY.search(text):
        return "the macros c, r and t are for exp only"
    return None
