"""Checks of CAA (RFC 8659, 8657): who may issue certificates. Asks no authority."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding, mend, set_value
from sophia_cli.checks.lookup import parent
from sophia_cli.checks.serving import InUse, covers, serving
from sophia_cli.core.certificates import directories
from sophia_cli.core.dns import APEX, Record, relative
from sophia_cli.core.findings import Finding

if TYPE_CHECKING:
    from sophia_cli.core.settings import Ssl

# `ssl.provider` -> the name the authority goes by in CAA (its own certification practice statement).
ISSUERS = {
    "letsencrypt": "letsencrypt.org", "letsencrypt-staging": "letsencrypt.org", "zerossl": "sectigo.com",
    "sectigo": "sectigo.com", "namecheap": "sectigo.com", "positivessl": "sectigo.com", "google": "pki.goog",
    "google-trust-services": "pki.goog", "digicert": "digicert.com", "buypass": "buypass.com",
    "globalsign": "globalsign.com", "amazon": "amazon.com", "ssl.com": "ssl.com", "entrust": "entrust.net",
}  # fmt: skip
_KNOWN = frozenset({"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"})
_VALUE = re.compile(r'(\d+) ([A-Za-z0-9]+) "(.*)"\Z', re.S)
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ISSUER = re.compile(
    rf"\s*(?P<name>{_LABEL}(?:\.{_LABEL})*)?\s*(?P<rest>(?:;\s*(?:[A-Za-z0-9-]+=[\x21-\x3a\x3c-\x7e]*\s*(?:;|\Z|(?=;))?\s*)*)?)\Z"
)
_ACCOUNT = re.compile(r";\s*accounturi=([\x21-\x3a\x3c-\x7e]*)", re.I)
_BY_SETTING = "ssl.provider"
_IODEF = re.compile(r"(?:mailto:[^\s]+@[^\s]+|https?://[^\s]+)\Z", re.I)


@dataclass(frozen=True, slots=True)
class Caa:
    """One CAA value taken apart; `issuer` is empty where nobody may issue."""

    row: Record
    flags: int
    tag: str
    value: str

    @property
    def issuer(self) -> str:
        """The authority it names."""
        return self.value.partition(";")[0].strip().lower()


def parse(row: Record) -> Caa | None:
    """The parts of a CAA record; None when it has not three."""
    match = _VALUE.match(row.value)
    return None if match is None else Caa(row, int(match.group(1)), match.group(2).lower(), match.group(3))


def none(facts: Facts) -> Iterator[Finding]:
    """Without CAA every authority in the world may issue for the domain."""
    if facts.names.at(APEX, "CAA"):
        return
    issuer = issuer_of(facts)
    value = '0 issue "' + (issuer or "letsencrypt.org") + '"'
    fix = mend(facts, "CAA-NONE", "only the authority in use may issue", (None, Record(APEX, "CAA", value)))
    yield finding(
        facts, "CAA-NONE", "no CAA record: every certificate authority may issue for the domain", (),
        f"Name the one you use: sophia record set @ CAA '{value}'", fix=fix if issuer else None,
        no_fix="needs to know which authority issues: set ssl.provider in the environment", issuer=issuer,
    )  # fmt: skip


def issuer_of(facts: Facts) -> str | None:
    """The CAA name of the authority that the environment uses."""
    return None if facts.settings is None else _issuer(facts.settings.ssl)


def _issuer(ssl: Ssl) -> str | None:
    return None if ssl.provider is None else ISSUERS.get(ssl.provider.strip().lower())


def our_account(facts: Facts) -> str | None:
    """The URL of our account at the authority that the environment prefers, once there is one."""
    if facts.settings is None:
        return None
    return next((facts.background.accounts.get(one) for one in directories(facts.settings.ssl)[:1]), None)


def syntax(facts: Facts) -> Iterator[Finding]:
    """Values that authorities cannot read; a critical one that they do not know stops all issuing."""
    for row in facts.zone.records:
        why = _problem(row) if row.type == "CAA" else None
        if why is not None:
            yield finding(
                facts, "CAA-SYNTAX", f"the CAA record of {row.name} is invalid: {why}", (row,),
                "Write it as FLAG TAG \"VALUE\", such as 0 issue \"letsencrypt.org\".", why=why,
            )  # fmt: skip


def _problem(row: Record) -> str | None:
    caa = parse(row)
    if caa is None:
        return "it has not the form FLAG TAG VALUE"
    if caa.flags not in (0, 128):
        return f"the flags are {caa.flags}, not 0 or 128"
    if caa.tag not in _KNOWN:
        return f"the unknown tag {caa.tag} is critical, so nobody may issue" if caa.flags == 128 else None
    if caa.tag in ("issue", "issuewild", "issuemail", "issuevmc") and not _ISSUER.match(caa.value):
        return f"{caa.tag} needs the domain name of an authority"
    if caa.tag == "iodef" and not _IODEF.match(caa.value):
        return "iodef needs a mailto, http or https address"
    return None


def _wanted(facts: Facts) -> list[InUse]:
    """The authorities that the environment names, for the names they are to certify."""
    if facts.settings is None:
        return []
    ssl = facts.settings.ssl
    found = []
    for one in (ssl, *ssl.certificates.values()):
        issuer = _issuer(one)
        names = [name.lower() for name in one.domains] or ([] if ssl.names else [facts.zone.name])
        found += [InUse(name, (issuer,), _BY_SETTING) for name in names if issuer is not None]
    return found


def _in_use(facts: Facts) -> list[InUse]:
    """What the environment names comes first: who renews there is known. Elsewhere it is who issued what is served."""
    wanted = _wanted(facts)
    return wanted + [one for one in serving(facts) if not any(covers(known.domain, one.domain) for known in wanted)]


def blocks(facts: Facts) -> Iterator[Finding]:
    """The authority in use is not among those that may issue: the next renewal fails."""
    told: set[str] = set()
    for used in _in_use(facts):
        domain, issuer = used.domain, used.issuers[0]
        star = domain.startswith("*.")
        host = domain.removeprefix("*.")
        if facts.names.inside(host) is None:
            continue
        place, rows = _in_force(facts, relative(host, facts.zone.name))
        tag = "issuewild" if star and any(caa.tag == "issuewild" for caa in rows) else "issue"
        limits = [caa for caa in rows if caa.tag == tag]
        if not limits or (key := f"{place} {tag} {issuer}") in told:
            continue
        told.add(key)
        ours = [caa for caa in limits if caa.issuer in used.issuers]
        if ours:
            yield from _bound_to_another(facts, place, domain, ours, used)
            continue
        good = Record(place, "CAA", f'0 {tag} "{issuer}"', limits[0].row.ttl)
        yield finding(
            facts, "CAA-BLOCKS", f"CAA at {place} does not let {issuer} issue for {domain}", (caa.row for caa in limits),
            f"Add it: sophia record set {quote(place)} CAA '{good.value}'", issuer=issuer, domain=domain,
            known_by=used.known_by,
            fix=mend(facts, "CAA-BLOCKS", f"{issuer} is the authority in use ({used.known_by})", (None, good)),
        )  # fmt: skip


def _bound_to_another(facts: Facts, place: str, domain: str, ours: list[Caa], used: InUse) -> Iterator[Finding]:
    """The authority may issue, but only for an account that is not ours, as after a move to another machine (RFC 8657 3)."""
    account, named = our_account(facts), [_ACCOUNT.search(caa.value) for caa in ours]
    if account is None or used.known_by != _BY_SETTING or any(one is None or one[1] == account for one in named):
        return
    edits = [
        set_value(caa.row, f'{caa.flags} {caa.tag} "{_ACCOUNT.sub(f"; accounturi={account}", caa.value)}"')
        for caa in ours[:1]
    ]
    yield finding(
        facts, "CAA-BLOCKS", f"CAA at {place} lets {used.issuers[0]} issue for {domain} to another account than ours",
        (caa.row for caa in ours), f"Name ours: accounturi={account}", issuer=used.issuers[0], domain=domain,
        account=account, known_by=used.known_by, fix=mend(facts, "CAA-BLOCKS", "our account orders", *edits),
    )  # fmt: skip


def _in_force(facts: Facts, name: str) -> tuple[str, list[Caa]]:
    """The CAA set that counts for a name: the closest one upwards (RFC 8659 3); aliases are followed inside the zone."""
    met, loops = facts.names.chain(name)
    last = facts.names.inside(met[-1].value) if met and not loops and met[-1].type == "CNAME" else None
    for start in dict.fromkeys((name if last is None else last, name)):
        place = start
        while True:
            rows = [caa for row in facts.names.at(place, "CAA") if (caa := parse(row)) is not None]
            if rows:
                return place, rows
            if place == APEX:
                break
            place = parent(place)
    return APEX, []


def unbound(facts: Facts) -> Iterator[Finding]:
    """Whoever reaches the same authority may ask it too, unless the account or the method is named."""
    rows = [caa for row in facts.names.at(APEX, "CAA") if (caa := parse(row)) is not None and caa.issuer]
    limits = [caa for caa in rows if caa.tag in ("issue", "issuewild")]
    if limits and not any(re.search(r";\s*(accounturi|validationmethods)=", caa.value, re.I) for caa in limits):
        yield finding(
            facts, "CAA-ACCT", "CAA names the authority, but neither the account nor the method", (caa.row for caa in limits),
            'Add them where the authority supports it: 0 issue "letsencrypt.org; validationmethods=dns-01"',
        )  # fmt: skip


def issuer_unknown(facts: Facts) -> str | None:
    """Why the authority in use is not known; None when it is."""
    if issuer_of(facts) is not None or serving(facts):
        return None
    if any(one.leaf is not None for endpoint in facts.endpoints for one in endpoint.served):
        return "no authority in use is known: ssl.provider is not set, and no certificate of a known one is served"
    return "no authority in use is known: neither ssl.provider nor a certificate was seen"
