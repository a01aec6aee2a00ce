"""Records: which name, type and value a clause speaks of. A name or a value is taken as typed or asked for, never repaired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning import slots
from sophia_cli.reasoning.clauses import ARTICLES, Ask, Clause, Refuse
from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.record_names import OF, called, is_name, linked, name_places

Built = tuple[Intent, ...] | Ask | Refuse


_TO = frozenset({"to", "at", "->", "=>", "→", "with", "into", "as", "value", "is", "be"})


_HOST_TYPES = frozenset({"CNAME", "MX", "NS", "ALIAS"})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Parts:
    """What a clause says about records, each part found or not."""

    names: tuple[tuple[str, str | None], ...]  # (relative name, zone if the sentence says it)
    zone: str | None
    type: str | None
    values: tuple[str, ...]
    ttl: int | None
    priority: int | None


def create(clause: Clause) -> Built:
    """A new record or subdomain."""
    parts = _parts(clause, creating=True)
    if not isinstance(parts, _Parts):
        return parts
    subdomain = any("subdomain" in clause.noun_classes(token) for token in clause.tokens)
    kind = parts.type or ("A" if subdomain and not parts.values else None)
    names = parts.names
    if not names and kind in {"MX", "TXT", "CAA", "NS"}:
        names = (("@", None),)
    if not names:
        return Ask("What shall the record be called?")
    if len(parts.values) > 1:
        return Ask(f"Which value: {' or '.join(parts.values)}?")
    if kind is None or (not parts.values and not subdomain):
        return Ask(f"What shall {names[0][0]} point to, or hold? And is it an A, CNAME or TXT record?")
    if not parts.values and kind != "A":
        return Ask(f"What shall the {kind} record {names[0][0]} hold?")
    value = parts.values[0] if parts.values else None
    priority = 10 if kind == "MX" and parts.priority is None else parts.priority

    def make(zone: str, name: str) -> Intent:
        return i.CreateRecord(zone, name, kind, _host(value, kind, zone), parts.ttl, priority)

    return _for_each(clause, parts, names, make)


def set_(clause: Clause) -> Built:
    """A record as it shall be: its value, or its TTL alone."""
    parts = _parts(clause, creating=False)
    if not isinstance(parts, _Parts):
        return parts
    if len(parts.values) > 1:
        return Ask(f"Which value: {' or '.join(parts.values)}?")
    if not parts.names:
        return Ask("Which record?")
    if not parts.values and parts.ttl is None and parts.priority is None:
        return Ask(f"Point {parts.names[0][0]} at what, or set which TTL?")
    value = parts.values[0] if parts.values else None
    if value is not None and parts.type is None:
        return Ask("Which type of record?")

    def make(zone: str, name: str) -> Intent | Ask:
        kind = parts.type
        if kind is None:
            known = clause.around.types_at(zone, name)
            if len(known) != 1:
                some = tuple(i.SetRecord(zone, name, each, None, parts.ttl, parts.priority) for each in known[:3])
                return Ask(
                    f"{name} in {zone} has {'several types of' if known else 'no known'} records: which type?", some
                )
            kind = known[0]
        return i.SetRecord(zone, name, kind, _host(value, kind, zone), parts.ttl, parts.priority)

    return _for_each(clause, parts, parts.names, make)


def remove(clause: Clause) -> Built:
    """One record, or several by name; never "all"."""
    parts = _parts(clause, creating=False)
    if not isinstance(parts, _Parts):
        return parts
    names = parts.names
    if not names and parts.type is not None and (zone := parts.zone or _only_zone(clause)):
        there = sorted({name for at, name, kind in clause.around.records or () if (at, kind) == (zone, parts.type)})
        if parts.type == "TXT" or len(there) != 1:
            return Ask(f"Which {parts.type} record" + (f": {', '.join(there)}?" if there else "?"))
        names = ((there[0], zone),)
    if not names:
        if parts.zone is not None:
            return Refuse(f"A whole domain ({parts.zone}) is not removed on a sentence. Name the record.")
        return Ask("Remove which record?")
    if parts.type is None and not parts.values and any(name == "@" and said for name, said in names):
        return Refuse("A whole domain is never removed on a sentence. Name the record, or the type of the record.")
    if any("*" in name for name, _ in names):
        return Ask('Is "*" the wildcard record, or all records? All of them are never removed on a sentence.')
    if len(parts.values) > 1:
        return Ask("Which value shall be removed?")
    value = parts.values[0] if parts.values else None

    def make(zone: str, name: str) -> Intent | Ask:
        known = clause.around.types_at(zone, name)
        kind = parts.type
        if kind is None and clause.around.records is not None:
            if len(known) != 1:
                return _several(clause, zone, name, known)
            kind = known[0]
        held = _host(value, kind, zone) if value is not None and kind is not None else None
        if value is not None and kind is None:
            return Ask(f"Which type of record is {name}?")
        return i.RemoveRecord(zone, name, kind, held)

    return _for_each(clause, parts, names, make)


def _several(clause: Clause, zone: str, name: str, known: Sequence[str]) -> Ask:
    if known:
        readings = tuple(i.RemoveRecord(zone, name, kind) for kind in known[:3])
        return Ask(f"{name} in {zone} has records of several types: which one?", readings)
    from difflib import get_close_matches

    there = sorted({called for at, called, _ in clause.around.records or () if at == zone})
    near = get_close_matches(name, there, 3, 0.6)
    hint = f" Near: {', '.join(near)}." if near else ""
    return Ask(f"{zone} has no record {name}.{hint} Which record?")


def subject(clause: Clause) -> tuple[str | None, str] | Refuse | None:
    """The record or domain that a question is about: (name or None for the whole domain, zone)."""
    for n, token in clause.free("host"):
        zone = clause.around.zone_of(token.text)
        if zone is None:
            return Refuse(f"{token.text} is not in a domain that is looked after here.")
        clause.use(n)
        return (None if token.text == zone else token.text.removesuffix(f".{zone}")), zone
    for certain in (True, False):
        for n, token in clause.free("word"):
            zones = sorted({at for at, name, _ in clause.around.records or () if name == called(token)})
            if (
                len(zones) == 1
                and n != clause.head
                and clause.words.knows(token.text) is not certain
                and _spoken_of(clause, n, certain)
            ):
                clause.use(n)
                return called(token), zones[0]
    return None


def _spoken_of(clause: Clause, n: int, certain: bool) -> bool:
    """A name that is also a word of the language counts only beside "record" or "subdomain", or as the object at the end."""
    following = clause.tokens[n + 1].text if n + 1 < len(clause.tokens) else ""
    before = clause.tokens[n - 1].text if n else ""
    # "who changed new?": an adjective with nothing after it can only be a name.
    is_object = following in {"", "?"} and (before in clause.words.past or before in {"of", "about", "to", "is"})
    return certain or following in {"record", "subdomain"} or is_object


def _for_each(clause: Clause, parts: _Parts, names: Sequence[tuple[str, str | None]], make: object) -> Built:
    built: list[Intent] = []
    for name, said in names:
        zone = said or parts.zone or _zone_for(clause, name)
        if zone is None:
            known = clause.around.zones
            if not known:
                return Ask(f"In which domain is {name}? None is known here.")
            choices = [one for each in known[:3] if isinstance(one := make(each, name), Intent)]  # type: ignore[operator]
            return Ask(f"In which domain is {name}? Known: {', '.join(known)}.", tuple(choices))
        one = make(zone, name)  # type: ignore[operator]
        if isinstance(one, Ask):
            return one
        built.append(one)
    return tuple(dict.fromkeys(built))


def _only_zone(clause: Clause) -> str | None:
    return clause.around.zones[0] if len(clause.around.zones) == 1 else None


def _zone_for(clause: Clause, name: str) -> str | None:
    """The only zone, or the only one of several that has the name."""
    having = sorted({at for at, called, _ in clause.around.records or () if called == name and name != "@"})
    return _only_zone(clause) or (having[0] if len(having) == 1 else None)


def _host(value: str | None, kind: str, zone: str) -> str | None:
    """A value that is a bare name, made a host of the zone; any other value as it is."""
    if value is None or kind not in _HOST_TYPES or "." in value:
        return value
    return zone if value == "@" else f"{value}.{zone}"


def _parts(clause: Clause, creating: bool) -> _Parts | Ask | Refuse:
    if any(token.kind == "junk" for token in clause.tokens):
        return Ask("There are signs in the sentence that belong to no name or value. Please say it in words.")
    kind, implied = _type(clause)
    seconds = _number_after(clause, "ttl")
    priority = _number_after(clause, "priority")
    if isinstance(seconds, Ask):
        return seconds
    if isinstance(priority, Ask):
        return priority
    values, found = _values(clause, kind)
    kind = kind or found
    zone: str | None = None
    names: list[tuple[int, str, str | None]] = []
    if implied:
        names.append((-1, implied, None))
    for n, token in clause.free("host"):
        inside = clause.around.zone_of(token.text.removeprefix("*."))
        if inside is None:
            known = ", ".join(clause.around.zones) or "none"
            return Refuse(f"{token.text} is not in a domain that is looked after here (known: {known}).")
        clause.use(n)
        if token.text == inside and (implied or clause.before(n)[1] in OF):
            zone = inside
        else:
            name = "@" if token.text == inside else token.text.removesuffix(f".{inside}")
            names.append((n, name, inside))
    if not implied:
        places = name_places(clause, creating, bool(names), kind)
        if isinstance(places, Ask):
            return places
        names += places
    if not names and zone is None and clause.last_name and clause.has("it", "its", "that"):
        names.append((-1, clause.last_name[1], clause.last_name[0]))
    elif not names and zone is not None and not creating and values:
        names.append((-1, "@", zone))
    names.sort()
    said = [n for n, _, _ in names if n >= 0]
    if not all(linked(clause, left, right) for left, right in pairwise(said)):
        return Ask(f"Which is the record's name: {' or '.join(clause.tokens[n].raw for n in said[:3])}?")
    return _Parts(tuple((name, at) for _, name, at in names), zone, kind, values, seconds, priority)


def _type(clause: Clause) -> tuple[str | None, str | None]:
    """The record type, and the name that it implies (DMARC stands at `_dmarc`, RFC 7489)."""
    kind = implied = None
    for n, token in clause.free("word"):
        if token.text not in clause.words.types:
            if {"alias", "redirect"} & clause.words.base.get(token.text, frozenset()) and n == clause.head:
                kind = "CNAME" if token.text == "alias" else "URL301" if token.text == "redirect" else kind
            continue
        if token.text == "a" and not _letter_a(clause, n):
            continue
        clause.use(n)
        kind = clause.words.types[token.text]
        implied = {"dmarc": "_dmarc", "spf": "@"}.get(token.text, implied)
    return kind, implied


def _letter_a(clause: Clause, n: int) -> bool:
    """Whether "a" is the record type: typed as A in a sentence not all in capitals, or "an a record", "the a record"."""
    token = clause.tokens[n]
    shouting = all(part.raw.upper() == part.raw for part in clause.tokens)
    following = clause.tokens[n + 1].text if n + 1 < len(clause.tokens) else ""
    record = following in {"record", "records", "entry"}
    if n and clause.tokens[n - 1].text in ARTICLES - {"new", "old"} and record:
        return True
    return token.raw == "A" and n > 0 and not shouting and record


def _number_after(clause: Clause, noun: str) -> int | Ask | None:
    """The number or length of time that belongs to "ttl" or "priority"."""
    place = next((n for n, token in clause.free("word") if noun in clause.noun_classes(token)), None)
    if place is None:
        return None
    later = [(n, token) for n, token in clause.free("number", "time") if n > place] or [
        (n, token) for n, token in clause.free("number", "time") if noun == "ttl" or n == place - 1
    ]
    if not later:
        return Ask("Which TTL?") if noun == "ttl" else Ask("Which priority?")
    n, token = later[0]
    if clause.tokens[n - 1].text == "by":
        return Ask(f"To which {noun}? A change by some amount is not read.")
    length = token.when.seconds if token.when and token.when.kind in {"duration", "end"} else None
    number = int(token.text) if token.kind == "number" and token.text.isdigit() else length
    if number is None or (noun == "priority" and token.kind == "time"):
        return Ask(f'"{token.raw}" is not a {noun}. Which one?')
    clause.use(place, n)
    return number


def _values(clause: Clause, kind: str | None) -> tuple[tuple[str, ...], str | None]:
    """The values in a clause, and the type that they have by themselves."""
    found: list[str] = []
    own: str | None = None
    for n, token in list(clause.free("ip4", "ip6", "url", "value", "quoted")):
        if token.kind == "quoted" and is_name(clause, n, token):
            continue
        clause.use(n)
        found.append(token.text)
        own = {"ip4": "A", "ip6": "AAAA", "url": "URL301", "value": "TXT", "quoted": "TXT"}[token.kind]
    if found:
        return tuple(found), own
    for n, token in list(clause.free("host", "word")):
        if not _in_value_position(clause, n, token, kind):
            continue
        clause.use(n)
        found.append(token.text if token.kind == "host" else called(token))
        own = "CNAME"
    if not found and kind == "CAA":
        for n, token in clause.free("word"):
            if token.text in clause.words.authorities:
                clause.use(n)
                return (f'0 issue "{slots.AUTHORITIES[clause.words.authorities[token.text]]}"',), "CAA"
    return tuple(found), own


def _in_value_position(clause: Clause, n: int, token: Token, kind: str | None) -> bool:
    place, preposition = clause.before(n)
    if place >= 0 and clause.tokens[place].text in clause.words.types:
        place, preposition = clause.before(place) if kind != "MX" or token.kind != "host" else (place, "to")
    if preposition == "host":
        place, preposition = clause.before(place)
    if kind == "MX" and token.kind == "host" and preposition not in OF:
        return True
    if preposition not in _TO or place == (clause.head or 0) - 1:
        return False
    if token.kind == "host":
        return True
    known = called(token) in {name for _, name, _ in clause.around.records or ()}
    last = n + 1 == len(clause.tokens)
    return (
        known
        and last
        and not clause.words.knows(token.text)
        and preposition in {"to", "at", "->", "=>", "→"}
        and kind in {None, "CNAME"}
    )
