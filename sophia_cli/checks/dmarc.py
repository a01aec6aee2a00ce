"""Checks of DMARC (RFC 9989, which replaced RFC 7489 in 2026). Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sophia_cli.checks.dmarc_tree import above_hosts, is_selected, record_at
from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend, set_value
from sophia_cli.checks.mail_less import NO_MAIL_DMARC
from sophia_cli.checks.outside import is_elsewhere, look, pending, text_rows, unanswered
from sophia_cli.checks.spf_cost import spf_rows
from sophia_cli.checks.tags import Tags, parse
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.dns_facts import Question
from sophia_cli.core.findings import Finding, Fix

_LOOKS_LIKE = re.compile(r"dmarc\s*1", re.I)
_POLICIES = ("none", "quarantine", "reject")
_VALUES = {
    "p": _POLICIES, "sp": _POLICIES, "np": _POLICIES,
    "adkim": ("r", "s"), "aspf": ("r", "s"), "psd": ("y", "n", "u"), "t": ("y", "n"),
}  # fmt: skip
_REMOVED = ("pct", "rf", "ri")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s,!;]+(?:![0-9]+[kmgt]?)?\Z", re.I)
_SIZE = re.compile(r"![0-9]+[kmgt]?\Z", re.I)
_ADDRESS = re.compile(r"[^\s@,;:!]+@[A-Za-z0-9.-]+\Z")


def selected(facts: Facts) -> tuple[Record, ...]:
    """The apex domain's DMARC records."""
    return tuple(row for row in text_rows(facts, "_dmarc") if is_selected(row.value))


def policy_of(tags: Tags) -> str:
    """The policy that receivers apply: a missing or unreadable `p` is none, and `t=y` takes one rung off."""
    policy = (tags.get("p") or "none").lower()
    rung = _POLICIES.index(policy) if policy in _POLICIES else 0
    return _POLICIES[max(0, rung - 1) if (tags.get("t") or "").lower() == "y" else rung]


def delegated(facts: Facts) -> str | None:
    """Why it is not known what stands at `_dmarc`; None when it is."""
    if not is_elsewhere(facts, "_dmarc"):
        return None
    found = look(facts, facts.zone.fqdn("_dmarc"), "TXT")
    if isinstance(found, Question):
        return "_dmarc is delegated to another zone, which needs live DNS"
    return (
        f"_dmarc is delegated, and {found.question} gave no answer: {found.why}" if found.status == "failed" else None
    )


def inherited(facts: Facts) -> str | None:
    """Why it is not known whether a policy is inherited; None when it is, or needs not be."""
    if delegated(facts) is not None or selected(facts) or "D" not in facts.has:
        return delegated(facts)
    above = above_hosts(facts.zone.name)
    return unanswered(facts, "no policy was looked for above the zone", (look(facts, host, "TXT") for host in above))


def questions(facts: Facts) -> Iterator[Question]:
    """What must be asked: a delegated record, and the policies above when there is none."""
    places = [facts.zone.fqdn("_dmarc")] if is_elsewhere(facts, "_dmarc") else []
    if not selected(facts):
        places += above_hosts(facts.zone.name)
    return pending(look(facts, place, "TXT") for place in places)


def none(facts: Facts) -> Iterator[Finding]:
    """Without DMARC nobody is told what to do with forged mail."""
    elsewhere = is_elsewhere(facts, "_dmarc")
    if any(_LOOKS_LIKE.search(row.value) for row in text_rows(facts, "_dmarc")) or (elsewhere and delegated(facts)):
        return
    if any(isinstance(record_at(facts, host), Tags) for host in above_hosts(facts.zone.name)):
        return
    value = NO_MAIL_DMARC if facts.is_mail_less else "v=DMARC1; p=none"
    yield finding(
        facts, "MAIL-DMARC-NONE", "no DMARC record: receivers are not told what to do with forged mail", (),
        f"Publish one: sophia record set _dmarc TXT '{value}', best with an address for the reports (rua=mailto:...).",
        severity=_by_use(facts, "high", "medium", "low"),
        fix=None if elsewhere
        else mend(facts, "MAIL-DMARC-NONE", "a first DMARC record", (None, Record("_dmarc", "TXT", value))),
        no_fix="_dmarc is delegated to another zone, where the record must be made" if elsewhere else None,
        suggestion=value,
    )  # fmt: skip


def _by_use(facts: Facts, sends: str, forwards: str, nothing: str) -> str:
    """A severity by what hangs on it. A first record must never weigh more than none: what it brings is milder."""
    return nothing if not facts.has_mail else forwards if facts.zone.email_type == "FWD" else sends


def multi(facts: Facts) -> Iterator[Finding]:
    """Several records count as none."""
    for name, rows in _by_name(facts):
        good = [row for row in rows if is_selected(row.value)]
        if len(good) > 1:
            yield finding(
                facts, "MAIL-DMARC-MULTI", f"{len(good)} DMARC records at {name}: receivers use none of them", good,
                "Keep one of them and delete the others.",
            )  # fmt: skip


def syntax(facts: Facts) -> Iterator[Finding]:
    """Records that are not read, or tags whose value is not read."""
    for _, rows in _by_name(facts):
        for row in rows:
            if not _LOOKS_LIKE.search(row.value):
                continue
            tags = parse(row.value)
            errors = _errors(row.value, tags)
            if errors:
                yield finding(
                    facts, "MAIL-DMARC-SYNTAX", f"the DMARC record of {row.name} is invalid: {errors[0]}", (row,),
                    "Correct it; receivers ignore what they cannot read.", errors=errors,
                    fix=_only_reading(facts, row, tags, is_alone=len(rows) == 1), no_fix="what was meant is not clear",
                )  # fmt: skip


def _errors(value: str, tags: Tags) -> list[str]:
    errors = [] if is_selected(value) else ["it must start with v=DMARC1, in capitals"]
    errors += [f"{text!a} is no tag" for text in tags.stray]
    names = [tag for tag, _ in tags.pairs]
    errors += [f"{tag} stands there twice" for tag in dict.fromkeys(names) if names.count(tag) > 1]
    for tag, text in tags.pairs:
        allowed = _VALUES.get(tag)
        if allowed is not None and text.lower() not in allowed:
            errors.append(f"{tag} must be one of {', '.join(allowed)}")
        elif tag in ("rua", "ruf"):
            errors += [f"{tag} needs URIs such as mailto:NAME@HOST" for uri in _uris(text) if not _URI.match(uri)][:1]
    return errors


def _uris(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _only_reading(facts: Facts, row: Record, tags: Tags, *, is_alone: bool) -> Fix | None:
    """The record put right where it can be read in one way only: `v` first, addresses as mailto."""
    version = tags.get("v") or ""
    if not is_alone or tags.stray or not re.fullmatch(r"dmarc\s*1", version, re.I):
        return None
    rest = tags.without("v")
    for tag in ("rua", "ruf"):
        text = rest.get(tag)
        if text is not None:
            rest = rest.with_value(
                tag, ",".join(f"mailto:{uri}" if _ADDRESS.match(uri) else uri for uri in _uris(text))
            )
    good = Tags((("v", "DMARC1"), *rest.pairs))
    if _errors(good.text(), good):
        return None
    return mend(facts, "MAIL-DMARC-SYNTAX", "the only way to read it", set_value(row, good.text()))


def weak(facts: Facts) -> Iterator[Finding]:
    """A policy of none only watches."""
    for row, tags in in_force(facts):
        policy = (tags.get("p") or "none").lower()
        if policy_of(tags) != "none" and (tags.get("t") or "").lower() != "y":
            continue
        testing = (tags.get("t") or "").lower() == "y" and policy in _POLICIES[1:]
        today = tags if _is_partial(tags) else _without_old(tags)
        next_rung = today.without("t") if testing else _quarantined(today)
        ready = bool(spf_rows(facts, APEX)) and any("_domainkey" in row.name.split(".") for row in facts.zone.records)
        yield finding(
            facts, "MAIL-DMARC-WEAK",
            f"the DMARC record of {row.name} is in test mode" if testing else f"the DMARC policy of {row.name} is none", (row,),
            "Read the reports for some weeks; when your own mail passes, go to quarantine, then to reject.",
            severity=_by_use(facts, "medium", "low", "info"), effective=policy_of(tags),
            fix=mend(facts, "MAIL-DMARC-WEAK", "the next rung of the policy", set_value(row, next_rung.text()))
            if ready and not _errors(row.value, tags) else None,
            no_fix="a stricter policy without SPF and DKIM in place would lose your own mail",
        )  # fmt: skip


def _quarantined(tags: Tags) -> Tags:
    """Quarantine for the domain, and for subdomains that were to be let through."""
    tags = tags.without("t", *(tag for tag in ("sp", "np") if (tags.get(tag) or "").lower() == "none"))
    if tags.get("p") is not None:
        return tags.with_value("p", "quarantine")
    return Tags((tags.pairs[0], ("p", "quarantine"), *tags.pairs[1:]))


def sub(facts: Facts) -> Iterator[Finding]:
    """Subdomains that are treated more softly than the domain are what forgers use."""
    for row, tags in in_force(facts):
        policy = (tags.get("p") or "none").lower()
        weaker = [tag for tag in ("sp", "np") if _rung(tags.get(tag)) < _rung(policy)]
        if weaker:
            yield finding(
                facts, "MAIL-DMARC-SUB", f"subdomains have a weaker DMARC policy than {row.name}", (row,),
                f"Drop {' and '.join(weaker)}: then subdomains follow the domain's policy.", tags=weaker,
                fix=mend(facts, "MAIL-DMARC-SUB", "subdomains follow the domain", set_value(row, tags.without(*weaker).text())),
            )  # fmt: skip


def _rung(policy: str | None) -> int:
    lowered = (policy or "").lower()
    return _POLICIES.index(lowered) if lowered in _POLICIES else len(_POLICIES)


def old(facts: Facts) -> Iterator[Finding]:
    """Tags that RFC 9989 took away: new receivers ignore them, old ones may not."""
    for row, tags in in_force(facts):
        clean = _without_old(tags)
        if clean == tags:
            continue
        removed = [tag for tag in _REMOVED if tags.get(tag) is not None]
        sized = [tag for tag in ("rua", "ruf") if tags.get(tag) != clean.get(tag)]
        yield finding(
            facts, "MAIL-DMARC-OLD", f"the DMARC record of {row.name} uses tags that are gone: {', '.join(removed + sized)}",
            (row,), "Drop them; for a gentle start use t=y instead of pct.", tags=removed, sizes=sized,
            fix=None if _is_partial(tags)
            else mend(facts, "MAIL-DMARC-OLD", "RFC 9989 took these tags away", set_value(row, clean.text())),
            no_fix="pct is below 100: choose between the whole policy and t=y",
        )  # fmt: skip


def _without_old(tags: Tags) -> Tags:
    """The tags as RFC 9989 knows them; a size limit goes from addresses that had one."""
    clean = tags.without(*_REMOVED)
    for tag in ("rua", "ruf"):
        text = clean.get(tag)
        if text is not None and any(_SIZE.search(uri) for uri in _uris(text)):
            clean = clean.with_value(tag, ",".join(_SIZE.sub("", uri) for uri in _uris(text)))
    return clean


def _is_partial(tags: Tags) -> bool:
    return tags.get("pct") not in (None, "100")


def blind(facts: Facts) -> Iterator[Finding]:
    """Without `rua` nobody sees who sends in the domain's name; where all mail is rejected there is little to see."""
    for row, tags in in_force(facts):
        if row.name == "_dmarc" and not tags.get("rua") and (facts.has_mail or policy_of(tags) != "reject"):
            yield finding(
                facts, "MAIL-DMARC-BLIND", "DMARC reports go nowhere: there is no rua", (row,),
                "Add rua=mailto:ADDRESS; the reports show who sends in the domain's name.",
                severity=_by_use(facts, "low", "low", "info"),
            )  # fmt: skip


def _by_name(facts: Facts) -> Iterator[tuple[str, tuple[Record, ...]]]:
    """The TXT records at `_dmarc` of the domain and of subdomains."""
    for name in sorted(facts.names.rows):
        if name.split(".")[0] != "_dmarc":
            continue
        rows = text_rows(facts, name) if name == "_dmarc" else facts.names.at(name, "TXT")
        if rows:
            yield name, rows


def in_force(facts: Facts) -> Iterator[tuple[Record, Tags]]:
    """The records that are in force: selected, and the only one at their name."""
    for _, rows in _by_name(facts):
        good = [row for row in rows if is_selected(row.value)]
        if len(good) == 1:
            yield good[0], parse(good[0].value)
