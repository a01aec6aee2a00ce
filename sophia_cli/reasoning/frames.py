"""Frames: from the words of one clause to the slots of one kind of intent; what is missing is asked for, never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning import places, questions, records
from sophia_cli.reasoning.clauses import Ask, Clause, Refuse
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.places import Built
from sophia_cli.reasoning.scaling import scale

_ENDS_PURPOSE: Final = frozenset(
    {"with", "called", "named", "was", "were", "is", "are", "has", "had", "did", "will", "been", "because", "but"}
)


def _set_mail(clause: Clause) -> Built:
    modes = [
        (n, clause.words.mail_modes[token.text])
        for n, token in clause.free("word")
        if token.text in clause.words.mail_modes
    ]
    if len(modes) != 1:
        return Ask("Which mail: Google Workspace, forwarding, Private Email, or none?")
    clause.use(modes[0][0])
    domain = places.zone(clause, "the mail")
    return (i.SetMail(domain, modes[0][1]),) if isinstance(domain, str) else domain


def _create_environment(clause: Clause) -> Built:
    stages = [
        (n, token.text)
        for n, token in clause.free("word")
        if clause.words.stages.get(token.text) and _before_noun(clause, n)
    ]
    named = [n for n, token in clause.free("word") if n and clause.tokens[n - 1].text in {"called", "named"}]
    purpose = _purpose(clause)
    end = places.end(clause)
    if isinstance(end, Ask):
        return end
    if named:
        clause.use(named[0], *(n for n, _ in stages))
        return (i.CreateEnvironment(clause.tokens[named[0]].raw.lower(), purpose, end),)
    if not stages and (place := _called_beside(clause)) is not None:
        if (near := _near_stage(clause, clause.tokens[place].text)) is not None:
            return Ask(f"Shall it be called {clause.tokens[place].raw}, or {near}?", (i.CreateEnvironment(near),))
        clause.use(place)
        return (i.CreateEnvironment(clause.tokens[place].raw.lower(), purpose, end),)
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


def _called_beside(clause: Clause) -> int | None:
    """The one word that no list knows, right before the noun: "a qa2 environment"."""
    for n, token in clause.free("word"):
        following = clause.tokens[n + 1] if n + 1 < len(clause.tokens) else None
        beside = following is not None and "environment" in clause.noun_classes(following)
        if (
            beside
            and not clause.words.knows(token.text)
            and not token.repaired
            and token.text not in clause.words.ordinary
        ):
            return n
    return None


def _near_stage(clause: Clause, word: str) -> str | None:
    """A stage, or an environment that is there, that the word may be a misspelling of: names are asked about, not repaired."""
    from difflib import get_close_matches

    if not word.isalpha():
        return None
    return next(iter(get_close_matches(word, [*clause.words.stages, *clause.around.environments], 1, 0.75)), None)


def _before_noun(clause: Clause, n: int) -> bool:
    """Whether a stage word describes the environment, not its purpose ("for testing")."""
    return clause.before(n)[1] not in {"for"} or any(
        "environment" in clause.noun_classes(token) for token in clause.tokens[n + 1 :]
    )


def _is_environment(clause: Clause, n: int) -> bool:
    return n >= 0 and "environment" in clause.noun_classes(clause.tokens[n])


def _purpose(clause: Clause) -> str | None:
    """What stands after "for" or "environment to", as typed, up to the end of the clause, the next time or "until"."""
    for n, token in enumerate(clause.tokens):
        tells = token.text == "for" or (token.text == "to" and _is_environment(clause, n - 1))
        if tells and token.kind == "word" and n + 1 < len(clause.tokens):
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
    name = places.environment(clause)
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
    name = places.environment(clause)
    if name is None:
        return _unknown_environment(clause)
    if next(((n, t) for n, t in clause.free("word") if clause.environment(t.text)), None):
        return Ask("One environment at a time is destroyed. Which one?")
    return (i.DestroyEnvironment(name),)


def _unknown_environment(clause: Clause) -> Ask:
    return Ask(f"Which environment? Known: {', '.join(clause.around.environments) or 'none'}.")


def _issue(clause: Clause) -> Built:
    authority = next(((n, t.text) for n, t in clause.free("word") if t.text in clause.words.authorities), None)
    if authority:
        clause.use(authority[0])
    names = places.hosts(clause, "the certificate")
    return (
        (i.IssueCertificate(names, authority and clause.words.authorities[authority[1]]),)
        if isinstance(names, tuple)
        else names
    )


def _renew(clause: Clause) -> Built:
    names = places.hosts(clause, "the certificate")
    return (i.RenewCertificate(names),) if isinstance(names, tuple) else names


def _inspect(clause: Clause) -> Built:
    names = places.hosts(clause, "the certificate")
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
    target = places.target(clause)
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


def _targeted(kind: type[i.Freeze | i.Thaw | i.Heal]) -> Callable[[Clause], Built]:
    def frame(clause: Clause) -> Built:
        target = places.whole(clause)
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
        environment = places.environment(clause)
        target = places.whole(clause)
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
    domain = places.zone(clause, "the import")
    return (i.ImportZone(domain),) if isinstance(domain, str) else domain


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
    "scale_service": scale,
    "optimize_infrastructure": _plain(i.OptimizeInfrastructure()),
    "issue_certificate": _issue,
    "renew_certificate": _renew,
    "inspect_certificate": _inspect,
    "optimize_certificates": _optimize_certificates,
    "rotate_secret": _rotate,
    "analyze": questions.analyze,
    "explain_finding": questions.explain,
    "explain_setting": questions.explain_setting,
    "make_plan": _flow(i.MakePlan),
    "deploy": _flow(i.Deploy),
    "heal": _targeted(i.Heal),
    "rollback_run": _rollback,
    "undo_last": _plain(i.UndoLast()),
    "freeze": _targeted(i.Freeze),
    "thaw": _targeted(i.Thaw),
    "import_zone": _import,
    "what_changed": questions.what_changed,
    "show_cost": questions.cost,
    "show_renewals": questions.renewals,
    "show_expiry": questions.expiry,
    "show_status": questions.status,
    "show_records": questions.listed,
    "show_drift": questions.drift,
    "show_run": questions.run,
    "show_secrets": questions.secrets,
    "show_stacks": _plain(i.ShowStacks()),
    "show_freeze": questions.frozen,
    "verify_audit": _plain(i.VerifyAudit()),
    "doctor": _plain(i.Doctor()),
    "help": _plain(i.Help()),
}
