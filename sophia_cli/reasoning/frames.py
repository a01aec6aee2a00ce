"""Frames: from the words of one clause to the slots of one kind of intent; what is missing is asked for, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning import records
from sophia_cli.reasoning.clauses import Ask, Clause, Refuse
from sophia_cli.reasoning.intents import Intent

_ENDS_PURPOSE: Final = frozenset(
    {"with", "called", "named", "was", "were", "is", "are", "has", "had", "did", "will", "been", "because", "but"}
)
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


def _hosts(clause: Clause, what: str) -> tuple[str, ...] | Ask | Refuse:
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


def _target(clause: Clause) -> str | Refuse | None:
    for n, token in clause.free("host"):
        if clause.around.zone_of(token.text) is None:
            return outside(clause, token.text)
        clause.use(n)
        return f"dns:{clause.around.zone_of(token.text)}"
    return None


def _whole(clause: Clause) -> str | Refuse | Ask | None:
    """The target of an act: a whole domain, and never a domain where only a host of it was named."""
    hosts = [token.text for _, token in clause.free("host") if clause.around.zone_of(token.text)]
    wider = [host for host in hosts if host not in clause.around.zones]
    if wider:
        return Ask(f"{wider[0]} is only a part of {clause.around.zone_of(wider[0])}. Do you mean the whole domain?")
    return _target(clause)


def _environment(clause: Clause) -> str | None:
    for n, token in clause.free("word"):
        found = clause.environment(token.text)
        if found is not None:
            clause.use(n)
            return found
    return None


def _end(clause: Clause) -> datetime | Ask | None:
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


# -- mail, environments, services -----------------------------------------------------------------------------------------


def _set_mail(clause: Clause) -> Built:
    modes = [
        (n, clause.words.mail_modes[token.text])
        for n, token in clause.free("word")
        if token.text in clause.words.mail_modes
    ]
    if len(modes) != 1:
        return Ask("Which mail: Google Workspace, forwarding, Private Email, or none?")
    clause.use(modes[0][0])
    domain = zone(clause, "the mail")
    return (i.SetMail(domain, modes[0][1]),) if isinstance(domain, str) else domain


def _create_environment(clause: Clause) -> Built:
    stages = [
        (n, token.text)
        for n, token in clause.free("word")
        if clause.words.stages.get(token.text) and _before_noun(clause, n)
    ]
    named = [n for n, token in clause.free("word") if n and clause.tokens[n - 1].text in {"called", "named"}]
    purpose = _purpose(clause)
    end = _end(clause)
    if isinstance(end, Ask):
        return end
    if named:
        clause.use(named[0], *(n for n, _ in stages))
        return (i.CreateEnvironment(clause.tokens[named[0]].raw.lower(), purpose, end),)
    if not stages:
        return Ask("What shall the new environment be called?")
    clause.use(*(n for n, _ in stages))
    name = clause.words.stages[stages[0][1]] if stages[0][1] in {"development", "stage", "testing"} else stages[0][1]
    if clause.environment(name) is None:
        return (i.CreateEnvironment(name, purpose, end),)
    subject = _essence(clause, (purpose or "").lower().split())
    if subject:
        return (i.CreateEnvironment(f"{'-'.join(subject)}-{name}", purpose, end),)
    return Ask(
        f"The environment {name} is there already. Deploy it, or create another, and by which name?", (i.Deploy(name),)
    )


def _before_noun(clause: Clause, n: int) -> bool:
    """Whether a stage word describes the environment, not its purpose ("for testing")."""
    return clause.before(n)[1] not in {"for"} or any(
        "environment" in clause.noun_classes(token) for token in clause.tokens[n + 1 :]
    )


def _purpose(clause: Clause) -> str | None:
    """What stands after "for", as typed; used up to the end of the clause, or the next time or "until"."""
    for n, token in enumerate(clause.tokens):
        if token.text == "for" and token.kind == "word" and n + 1 < len(clause.tokens):
            last = n + 1
            while (
                last < len(clause.tokens)
                and clause.tokens[last].kind == "word"
                and clause.tokens[last].text not in _ENDS_PURPOSE
            ):
                last += 1
            if last > n + 1:
                clause.use(*range(n, last))
                return " ".join(part.raw for part in clause.tokens[n + 1 : last])
    return None


def _essence(clause: Clause, spoken: list[str]) -> list[str]:
    """The words of a purpose that can make a name: "testing the new API" gives "api"."""
    words = clause.words
    dull = {
        word
        for word in spoken
        if word in words.glue or word in words.ing or word in words.stages or word in words.features
    }
    left = [word for word in spoken if word not in dull and "service" not in words.nouns.get(word, ())]
    return left if len(left) <= 3 and all(word.isalnum() and word.isascii() for word in left) else []


def _expire_environment(clause: Clause) -> Built:
    name = _environment(clause)
    if name is None:
        return _unknown_environment(clause)
    for n, token in clause.free("time"):
        when = token.when
        moment = (when.end or when.start) if when is not None else None
        if moment is not None and moment > clause.context.now:
            clause.use(n)
            return (i.ExpireEnvironment(name, moment),)
    return Ask(f"When shall the environment {name} end?")


def _destroy_environment(clause: Clause) -> Built:
    name = _environment(clause)
    if name is None:
        return _unknown_environment(clause)
    if next(((n, t) for n, t in clause.free("word") if clause.environment(t.text)), None):
        return Ask("One environment at a time is destroyed. Which one?")
    return (i.DestroyEnvironment(name),)


def _unknown_environment(clause: Clause) -> Ask:
    return Ask(f"Which environment? Known: {', '.join(clause.around.environments) or 'none'}.")


def _scale(clause: Clause) -> Built:
    found = [(n, name) for n, token in enumerate(clause.tokens) if n != clause.head and (name := clause.service(token))]
    services = list(dict.fromkeys(name for _, name in found))
    if len(services) != 1:
        known = ", ".join(name for name, _ in clause.around.services) or "none"
        return Ask(f"Which service? Known: {known}.")
    clause.use(*(n for n, _ in found))
    end = _end(clause)
    if isinstance(end, Ask):
        return end
    start: datetime | None = None
    every: str | None = None
    for n, token in clause.free("time"):
        when = token.when
        if when is None or (when.kind == "every" and every) or when.kind in {"duration", "start"}:
            continue
        if when.kind == "every":
            every = when.every
        elif when.kind == "range" and end is None and when.start and when.start > clause.context.now:
            start, end = when.start, when.end
        else:
            continue
        clause.use(n)
    return _size(clause, services[0], (start, end, every))


def _size(clause: Clause, service: str, when: tuple[datetime | None, datetime | None, str | None]) -> Built:
    heads = clause.head_classes | {
        name
        for token in clause.tokens
        for name in clause.words.base.get(token.text, ())
        if token.kind == "word" and name in {"up", "down"}
    }
    numbers = list(clause.free("number"))
    percents = list(clause.free("percent"))
    factor = next(
        (
            size
            for name, size in {"double": ("up", 100), "triple": ("up", 200), "halve": ("down", 50)}.items()
            if name in heads
        ),
        None,
    )
    directions = (
        {"up", "down"} & heads
        | ({"up"} if clause.has("more") else set())
        | ({"down"} if clause.has("less", "fewer") else set())
    )
    for n, token in enumerate(clause.tokens):
        if token.kind == "word" and token.text in {"up", "down", "more", "less", "fewer"}:
            directions |= {token.text} & {"up", "down"}
            clause.use(n)
    if len(directions) > 1 or len(numbers) + len(percents) + bool(factor) > 1:
        return Ask(f"Scale {service} by how much, or to how many?")
    if factor is not None:
        return (i.ScaleService(service, factor[0], None, factor[1], None, *when),)
    if percents and len(directions) == 1 and percents[0][1].text.isdigit():
        clause.use(percents[0][0])
        return (i.ScaleService(service, directions.pop(), None, int(percents[0][1].text), None, *when),)
    if percents or (numbers and not numbers[0][1].text.isdigit()):
        return Ask(f"Scale {service} up or down, and by how much?")
    if numbers:
        place, number = numbers[0][0], int(numbers[0][1].text)
        clause.use(place)
        preposition = clause.before(place)[1]
        if preposition in {"to", "at"}:
            return (i.ScaleService(service, "to", None, None, number, *when),)
        if len(directions) == 1 and (preposition == "by" or clause.has("more", "less", "fewer")):
            return (i.ScaleService(service, directions.pop(), number, None, None, *when),)
        return Ask(
            f"Scale {service} by {number}, or to {number}?", (i.ScaleService(service, "to", None, None, number, *when),)
        )
    if clause.tokens[-1].text in {"to", "by", "from"} or len(directions) != 1:
        return Ask(f"Scale {service} up or down, and by how much?")
    return (i.ScaleService(service, directions.pop(), None, None, None, *when),)


# -- certificates, secrets ------------------------------------------------------------------------------------------------


def _issue(clause: Clause) -> Built:
    authority = next(((n, t.text) for n, t in clause.free("word") if t.text in clause.words.authorities), None)
    if authority:
        clause.use(authority[0])
    names = _hosts(clause, "the certificate")
    return (
        (i.IssueCertificate(names, authority and clause.words.authorities[authority[1]]),)
        if isinstance(names, tuple)
        else names
    )


def _renew(clause: Clause) -> Built:
    names = _hosts(clause, "the certificate")
    return (i.RenewCertificate(names),) if isinstance(names, tuple) else names


def _inspect(clause: Clause) -> Built:
    names = _hosts(clause, "the certificate")
    return tuple(i.InspectCertificate(name) for name in names) if isinstance(names, tuple) else names


def _optimize_certificates(clause: Clause) -> Built:
    goals = {
        clause.words.goals[token.text]
        for token in clause.tokens
        if token.kind == "word" and token.text in clause.words.goals
    }
    if len(goals) > 1:
        return Ask(
            "Optimize the certificates for performance or for security?",
            tuple(i.OptimizeCertificates(goal) for goal in sorted(goals)),
        )
    target = _target(clause)
    if isinstance(target, Refuse):
        return target
    return (i.OptimizeCertificates(goals.pop() if goals else None, target and target.removeprefix("dns:")),)


def _rotate(clause: Clause) -> Built:
    found = [
        (n, clause.words.secrets[token.text]) for n, token in clause.free("word") if token.text in clause.words.secrets
    ]
    paths = [(n, token.text) for n, token in clause.free("path")]
    if len(found) + len(paths) != 1:
        return Ask("Which secret: the Namecheap key or the model's key?")
    clause.use((found + paths)[0][0])
    return (i.RotateSecret((found + paths)[0][1]),)


# -- flows and questions --------------------------------------------------------------------------------------------------


def _analyze(clause: Clause) -> Built:
    target = _target(clause)
    if isinstance(target, Refuse):
        return target
    agents = [
        clause.words.agents[token.text]
        for token in clause.tokens
        if token.kind == "word" and token.text in clause.words.agents
    ]
    return (i.Analyze(target, agents[0] if len(set(agents)) == 1 else None),)


def _explain(clause: Clause) -> Built:
    found = [(n, token) for n, token in clause.free("finding")]
    if not found and not any("finding" in clause.noun_classes(token) for token in clause.tokens):
        return Ask("Explain which finding? Its id stands in the analysis, like DNS-CNAME-APEX.")
    clause.use(*(n for n, _ in found))
    return tuple(i.ExplainFinding(token.text) for _, token in found) or (i.ExplainFinding(),)


def _explain_setting(clause: Clause) -> Built:
    found = list(clause.free("path"))
    clause.use(*(n for n, _ in found))
    return tuple(i.ExplainSetting(token.text) for _, token in found)


def _targeted(kind: type[i.Freeze | i.Thaw | i.Heal]) -> Callable[[Clause], Built]:
    def frame(clause: Clause) -> Built:
        target = _whole(clause)
        if isinstance(target, Refuse | Ask):
            return target
        return (kind(target),)

    return frame


def _flow(kind: type[i.MakePlan | i.Deploy]) -> Callable[[Clause], Built]:
    def frame(clause: Clause) -> Built:
        if (
            kind is i.Deploy
            and clause.has("new")
            and any("environment" in clause.noun_classes(token) for token in clause.tokens)
        ):
            return Ask("Deploy an environment that is there, or create a new one, and by which name?")
        environment = _environment(clause)
        target = _whole(clause)
        if isinstance(target, Refuse | Ask):
            return target
        return (kind(environment, target),)

    return frame


def _rollback(clause: Clause) -> Built:
    if sum("undo" in clause.words.base.get(token.text, ()) for token in clause.tokens if token.kind == "word") > 1:
        return Ask("Undo the run, or undo its rollback? The audit log has the id of either.")
    runs = list(clause.free("run"))
    if len(runs) != 1:
        return Ask("Which run? Its id stands in the audit log.")
    clause.use(runs[0][0])
    return (i.RollbackRun(runs[0][1].raw),)


def _import(clause: Clause) -> Built:
    domain = zone(clause, "the import")
    return (i.ImportZone(domain),) if isinstance(domain, str) else domain


def _what_changed(clause: Clause) -> Built:
    asks = next((token.text for token in clause.tokens if token.text in {"who", "when", "why"}), "what")
    start = end = None
    for n, token in clause.free("time"):
        when = token.when
        if when is None or when.kind not in {"range", "at", "start"}:
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


def _renewals(clause: Clause) -> Built:
    until = None
    for n, token in clause.free("time"):
        when = token.when
        if when is None or when.end is None or when.end <= clause.context.now:
            return Ask(f'Up to when is "{token.raw}"?')
        until = when.end
        clause.use(n)
    certificates = any("certificate" in clause.noun_classes(token) for token in clause.tokens)
    return (i.ShowRenewals("certificate" if certificates else "domain", until),)


def _expiry(clause: Clause) -> Built:
    certificates = any("certificate" in clause.noun_classes(token) for token in clause.tokens)
    names = _hosts(clause, "the question")
    if not isinstance(names, tuple):
        return names
    kind = "certificate" if certificates else "domain"
    return tuple(i.ShowExpiry(kind, name if certificates else clause.around.zone_of(name) or name) for name in names)


def _status(clause: Clause) -> Built:
    services = [(n, name) for n, token in enumerate(clause.tokens) if (name := clause.service(token))]
    about_service = any(n in clause.used or clause.tokens[n].kind == "service" for n, _ in services) or clause.has(
        "service", "services", "status", "doing"
    )
    environment = _environment(clause)
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
    domain = known_record[1] if known_record else zone(clause, "the question")
    return (i.ShowStatus("domain", domain),) if isinstance(domain, str) else domain or Ask("The state of what?")


def _plain(intent: Intent) -> Callable[[Clause], Built]:
    return lambda _clause: (intent,)


FRAMES: Final[dict[str, Callable[[Clause], Built]]] = {
    "create_record": records.create,
    "set_record": records.set_,
    "remove_record": records.remove,
    "set_mail": _set_mail,
    "create_environment": _create_environment,
    "expire_environment": _expire_environment,
    "destroy_environment": _destroy_environment,
    "scale_service": _scale,
    "optimize_infrastructure": _plain(i.OptimizeInfrastructure()),
    "issue_certificate": _issue,
    "renew_certificate": _renew,
    "inspect_certificate": _inspect,
    "optimize_certificates": _optimize_certificates,
    "rotate_secret": _rotate,
    "analyze": _analyze,
    "explain_finding": _explain,
    "explain_setting": _explain_setting,
    "make_plan": _flow(i.MakePlan),
    "deploy": _flow(i.Deploy),
    "heal": _targeted(i.Heal),
    "rollback_run": _rollback,
    "undo_last": _plain(i.UndoLast()),
    "freeze": _targeted(i.Freeze),
    "thaw": _targeted(i.Thaw),
    "import_zone": _import,
    "what_changed": _what_changed,
    "show_cost": _plain(i.ShowCost()),
    "show_renewals": _renewals,
    "show_expiry": _expiry,
    "show_status": _status,
    "verify_audit": _plain(i.VerifyAudit()),
    "doctor": _plain(i.Doctor()),
    "help": _plain(i.Help()),
}
