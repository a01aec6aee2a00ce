"""Places: which domain, host, environment or end a clause speaks of; what is missing or not ours is asked for or refused."""

from __future__ import annotations

from datetime import datetime

from sophia_cli.reasoning.clauses import Ask, Clause, Refuse
from sophia_cli.reasoning.intents import Intent

Built = tuple[Intent, ...] | Ask | Refuse


def zone(clause: Clause, what: str) -> str | Ask | Refuse:
    """The zone that a clause speaks of: named, or the only one there is."""
    for n, token in clause.free("host"):
        found = clause.around.zone_of(token.text)
        if found is None:
            return outside(clause, token.text)
        clause.use(n)
        return found
    zones = clause.around.zones
    if len(zones) == 1:
        return zones[0]
    return Ask(f"Which domain is {what} for?" + (f" Known: {', '.join(zones)}." if zones else " None is known here."))


def outside(clause: Clause, host: str) -> Refuse:
    """The refusal of a domain that is not looked after here."""
    known = ", ".join(clause.around.zones) or "none"
    return Refuse(f"{host} is not in a domain that is looked after here (known: {known}), so nothing is read into it.")


def hosts(clause: Clause, what: str) -> tuple[str, ...] | Ask | Refuse:
    """The names for a certificate: host names, or record names that are known, or the only zone itself."""
    found: list[str] = []
    for n, token in clause.free("host"):
        if clause.around.zone_of(token.text.removeprefix("*.")) is None:
            return outside(clause, token.text)
        clause.use(n)
        found.append(token.text)
    for n, token in clause.free("word"):
        zones = sorted({at for at, name, _ in clause.around.records or () if name == token.raw.lower()})
        if zones and not clause.words.knows(token.text):
            if len(zones) > 1:
                return Ask(f"In which domain is {token.raw}? Known: {', '.join(zones)}.")
            clause.use(n)
            found.append(f"{token.raw.lower()}.{zones[0]}")
    if not found:
        whole = zone(clause, what)
        if not isinstance(whole, str):
            return whole
        found.append(f"*.{whole}" if clause.has("wildcard") else whole)
    return tuple(dict.fromkeys(found))


def target(clause: Clause) -> str | Refuse | None:
    for n, token in clause.free("host"):
        if clause.around.zone_of(token.text) is None:
            return outside(clause, token.text)
        clause.use(n)
        return f"dns:{clause.around.zone_of(token.text)}"
    return None


def whole(clause: Clause) -> str | Refuse | Ask | None:
    """The target of an act: a whole domain, and never a domain where only a host of it was named."""
    hosts = [token.text for _, token in clause.free("host") if clause.around.zone_of(token.text)]
    wider = [host for host in hosts if host not in clause.around.zones]
    if wider:
        return Ask(f"{wider[0]} is only a part of {clause.around.zone_of(wider[0])}. Do you mean the whole domain?")
    return target(clause)


def environment(clause: Clause) -> str | None:
    for n, token in clause.free("word"):
        found = clause.environment(token.text)
        if found is not None:
            clause.use(n)
            return found
    return None


def end(clause: Clause) -> datetime | Ask | None:
    """An end that is still ahead."""
    for n, token in clause.free("time"):
        when = token.when
        if when is None or when.end is None or when.kind in {"range", "at"}:
            continue
        if when.end <= clause.context.now:
            return Ask(f'"{token.raw}" lies in the past. Until when?')
        clause.use(n)
        return when.end
    return None
