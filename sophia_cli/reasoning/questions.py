"""Question frames: from the words of a question to the slots of one kind of intent that only looks."""

from __future__ import annotations

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning import places, records
from sophia_cli.reasoning.clauses import Ask, Clause, Refuse
from sophia_cli.reasoning.places import Built
from sophia_cli.reasoning.record_names import called


def analyze(clause: Clause) -> Built:
    target = places.target(clause)
    if isinstance(target, Refuse):
        return target
    agents = [
        clause.words.agents[token.text]
        for token in clause.tokens
        if token.kind == "word" and token.text in clause.words.agents
    ]
    return (i.Analyze(target, agents[0] if len(set(agents)) == 1 else None),)


def explain(clause: Clause) -> Built:
    found = [(n, token) for n, token in clause.free("finding")]
    if not found and not any("finding" in clause.noun_classes(token) for token in clause.tokens):
        return Ask("Explain which finding? Its id stands in the analysis, like DNS-CNAME-APEX.")
    clause.use(*(n for n, _ in found))
    return tuple(i.ExplainFinding(token.text) for _, token in found) or (i.ExplainFinding(),)


def explain_setting(clause: Clause) -> Built:
    found = list(clause.free("path"))
    clause.use(*(n for n, _ in found))
    return tuple(i.ExplainSetting(token.text) for _, token in found)


def what_changed(clause: Clause) -> Built:
    asks = next((token.text for token in clause.tokens if token.text in {"who", "when", "why"}), "what")
    start = end = None
    for n, token in clause.free("time"):
        when = token.when
        over = when is not None and when.kind == "end" and when.end is not None and when.end <= clause.context.now
        if when is None or (when.kind not in {"range", "at", "start"} and not over):
            return Ask(f'Before or after: what span of time is "{token.raw}"?')
        start, end = when.start, when.end
        clause.use(n)
    subject = records.subject(clause)
    if isinstance(subject, Refuse):
        return subject
    name, domain = subject or (None, None)
    people = [
        (n, token)
        for n, token in clause.free("word")
        if token.raw.lower() == token.text
        and not clause.words.knows(token.text)
        and (n == 0 or clause.tokens[n - 1].text in {"did", "by", "has"})
    ]
    clause.use(*(n for n, _ in people))
    by = people[0][1].raw.lower() if people else None
    return (i.WhatChanged(asks, name, domain, by, start, end),)


def renewals(clause: Clause) -> Built:
    until = None
    for n, token in clause.free("time"):
        when = token.when
        if when is None or when.end is None or when.end <= clause.context.now:
            return Ask(f'Up to when is "{token.raw}"?')
        until = when.end
        clause.use(n)
    certificates = any("certificate" in clause.noun_classes(token) for token in clause.tokens)
    return (i.ShowRenewals("certificate" if certificates else "domain", until),)


def expiry(clause: Clause) -> Built:
    certificates = any("certificate" in clause.noun_classes(token) for token in clause.tokens)
    names = places.hosts(clause, "the question")
    if not isinstance(names, tuple):
        return names
    kind = "certificate" if certificates else "domain"
    return tuple(i.ShowExpiry(kind, name if certificates else clause.around.zone_of(name) or name) for name in names)


def status(clause: Clause) -> Built:
    services = [(n, name) for n, token in enumerate(clause.tokens) if (name := clause.service(token))]
    about_service = any(n in clause.used or clause.tokens[n].kind == "service" for n, _ in services) or clause.has(
        "service", "services", "status", "doing"
    )
    environment = places.environment(clause)
    if environment is not None:
        return (i.ShowStatus("stack", environment),)
    known_record = records.subject(clause)
    if isinstance(known_record, Refuse):
        return known_record
    if services and about_service and (known_record is None or clause.has("service", "services")):
        clause.use(*(n for n, _ in services))
        return (i.ShowStatus("service", services[0][1]),)
    if known_record is not None and known_record[0] is not None:
        return (i.ShowStatus("record", known_record[0], known_record[1]),)
    if services:
        clause.use(*(n for n, _ in services))
        return (i.ShowStatus("service", services[0][1]),)
    domain = known_record[1] if known_record else places.zone(clause, "the question")
    return (i.ShowStatus("domain", domain),) if isinstance(domain, str) else domain or Ask("The state of what?")


# -- what there is --------------------------------------------------------------------------------------------------------


def cost(clause: Clause) -> Built:
    """What it costs; a span of time is heard, and told to be unknown where it is."""
    start = end = None
    for n, token in clause.free("time"):
        if token.when is not None and token.when.kind in {"range", "start", "at"}:
            start, end = token.when.start, token.when.end
            clause.use(n)
    return (i.ShowCost(start, end),)


def listed(clause: Clause) -> Built:
    """The records of a zone, of a type, at a name, or that point somewhere."""
    asks = "owner" if _has_noun(clause, "owner") else "count" if clause.has("howmany") else "list"
    value = _value(clause)
    found = _named(clause)
    if isinstance(found, Refuse):
        return found
    domain = found[1] if found is not None else places.zone(clause, "the question")
    if not isinstance(domain, str):
        return domain
    kind, implied = _type(clause)
    record = (found[0] if found is not None else None) or implied
    if record is None and kind is None and _has_noun(clause, "mail"):
        kind = "MX"
    clause.use(*(n for n, token in clause.free("word") if token.text in {"have", "go", "goes"}))
    return (i.ShowRecords(domain, asks, record, kind, value),)


def run(clause: Clause) -> Built:
    """One run, by its id, or the last."""
    runs = list(clause.free("run"))
    clause.use(*(n for n, _ in runs))
    if len(runs) > 1:
        return Ask("Which of the runs?")
    return (i.ShowRun(runs[0][1].raw if runs else None),)


def secrets(clause: Clause) -> Built:
    """All secrets, or the one that is named; never a value."""
    paths = [token.text for _, token in clause.free("path")]
    named = [clause.words.secrets[token.text] for _, token in clause.free("word") if token.text in clause.words.secrets]
    clause.use(*(n for n, _ in clause.free("path")))
    clause.use(*(n for n, token in clause.free("word") if token.text in clause.words.secrets))
    chosen = list(dict.fromkeys([*paths, *named]))
    return (i.ShowSecrets(chosen[0] if len(chosen) == 1 else None),)


def drift(clause: Clause) -> Built:
    """Whether the live zones are as the environment says; of a named zone too."""
    target = places.target(clause)
    return target if isinstance(target, Refuse) else (i.ShowDrift(),)


def frozen(clause: Clause) -> Built:
    """What is frozen; asked of a named zone too."""
    target = places.target(clause)
    return target if isinstance(target, Refuse) else (i.ShowFreeze(),)


def _has_noun(clause: Clause, noun: str) -> bool:
    return any(noun in clause.noun_classes(token) for token in clause.tokens)


def _value(clause: Clause) -> str | None:
    """Where the records that are asked for point: an address, or a host that is "pointed to"."""
    for n, token in clause.free("ip4", "ip6", "host"):
        if token.kind != "host" or clause.before(n)[1] in {"to", "at", "point"}:
            clause.use(n)
            return token.text
    return None


def _named(clause: Clause) -> tuple[str | None, str] | Refuse | None:
    """The record that is asked for: known, or called so; with its zone."""
    for n, token in clause.free("word"):
        before = clause.tokens[n - 1].text if n else ""
        known = [at for at, name, _ in clause.around.records or () if name == called(token)]
        calls = before in {"called", "named"} or (before == "record" and (known or not clause.words.knows(token.text)))
        zones = sorted(set(known)) or list(clause.around.zones)
        if calls and len(zones) == 1:
            clause.use(n)
            return called(token), zones[0]
    return records.subject(clause)


def _type(clause: Clause) -> tuple[str | None, str | None]:
    """The type that is asked for, and the name it stands at (SPF at the apex, DMARC at `_dmarc`)."""
    for n, token in clause.free("word"):
        if token.text not in clause.words.types or (token.text == "a" and token.raw != "A"):
            continue
        clause.use(n)
        return clause.words.types[token.text], {"dmarc": "_dmarc", "spf": "@"}.get(token.text)
    return None, None
