"""The registry: which function runs for which rule of the catalogue, and the page that lists them. Looks at no facts itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sophia_cli.checks import (
    address,
    caa,
    certificates,
    cname,
    cost,
    dangling,
    delegation,
    dkim,
    dmarc,
    dmarc_reports,
    dnssec,
    drift,
    exposure,
    mta_sts,
    mx,
    names,
    partial,
    performance,
    performance_web,
    registration,
    serials,
    spf,
    tls,
    tls_mail,
    tls_offer,
    tls_revocation,
    tls_tuning,
    ttl,
    txt,
    web,
    web_mail,
    wildcard,
)
from sophia_cli.checks.catalogue import CATALOGUE, NEEDS, Rule
from sophia_cli.checks.facts import Facts
from sophia_cli.core.findings import Finding, NotTested

Run = Callable[[Facts], Iterator[Finding]]
Gap = Callable[[Facts], str | None]
"""Why a check could not be run, or `in part: ...` for what it could not see; None when it saw all."""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule with what runs it. `needs` are the letters without which it cannot run at all."""

    rule: Rule
    run: Run | None = None
    needs: str = ""
    gap: Gap | None = None


_RUNS: dict[str, tuple[Run, str, Gap | None]] = {
    "DNS-CNAME-OTHER": (cname.cname_other, "Z", None),
    "DNS-CNAME-APEX": (cname.cname_apex, "Z", None),
    "DNS-CNAME-MULTI": (cname.cname_multi, "Z", None),
    "DNS-CNAME-LOOP": (cname.cname_loop, "Z", cname.aliases_outside),
    "DNS-MX-CNAME": (cname.mx_cname, "Z", cname.mx_outside),
    "DNS-NS-CNAME": (cname.ns_cname, "Z", cname.ns_outside),
    "DNS-MX-IP": (mx.mx_ip, "Z", None),
    "DNS-MX-NOADDR": (mx.mx_noaddr, "Z", cname.mx_outside),
    "DNS-MX-NULL-MIX": (mx.mx_null_mix, "Z", None),
    "DNS-MX-IMPLICIT": (mx.mx_implicit, "Z", None),
    "DNS-DUP": (ttl.duplicate, "Z", None),
    "DNS-TTL-SET": (ttl.differing, "Z", None),
    "DNS-TTL-RANGE": (ttl.out_of_range, "Z", None),
    "DNS-SPECIAL-IP": (address.special, "Z", cname.aliases_outside),
    "DNS-NAME-SYNTAX": (names.syntax, "Z", None),
    "DNS-DOUBLED": (names.doubled, "Z", None),
    "DNS-WILDCARD": (wildcard.wildcard, "Z", wildcard.unprobed),
    "DNS-WILDCARD-GAP": (wildcard.gap, "Z", None),
    "DNS-DANGLE-NX": (dangling.gone, "D", dangling.hosts_unknown),
    "DNS-DANGLE-SVC": (dangling.unclaimed, "D", dangling.services_unread),
    "DNS-DANGLE-NS": (dangling.cut, "D", dangling.cuts_unknown),
    "DNS-DANGLE-IP": (dangling.address, "Z L", dangling.addresses_unknown),
    "DNS-LAME": (delegation.lame, "D", delegation.servers_unknown),
    "DNS-DELEG-DIFF": (delegation.differs, "D", delegation.parent_unknown),
    "DNS-NS-FEW": (delegation.few, "D", delegation.given),
    "DNS-NS-ONE-NET": (delegation.one_net, "D", delegation.systems_unknown),
    "DNS-NS-V6": (delegation.no_ipv6, "D", delegation.given),
    "DNS-NS-TCP": (delegation.no_tcp, "D", delegation.servers_unknown),
    "DNS-AXFR": (exposure.transfer, "D", exposure.transfer_unknown),
    "DNS-OPEN-REC": (exposure.recursion, "D", delegation.servers_unknown),
    "DNS-SOA": (delegation.soa, "D", delegation.servers_unknown),
    "DNS-SERIAL": (serials.behind, "D", serials.on_the_way),
    "DNS-DRIFT": (drift.drift, "Z D", drift.rows_unknown),
    "DNS-INVISIBLE": (drift.invisible, "Z D", drift.rows_unknown),
    "SEC-DNSSEC-NONE": (dnssec.unsigned, "D", dnssec.unknown),
    "SEC-DNSSEC-BOGUS": (dnssec.bogus, "D", dnssec.unknown),
    "SEC-DNSSEC-ALG": (dnssec.weak, "D", dnssec.signatures_unknown),
    "SEC-DNSSEC-SOON": (dnssec.soon, "D", dnssec.signatures_unknown),
    "SEC-NSEC3": (dnssec.nsec3, "D", dnssec.signatures_unknown),
    "MAIL-DMARC-EXT": (dmarc_reports.unauthorised, "D", dmarc_reports.unknown),
    "PERF-DNS-RTT": (performance_web.resolution, "D", delegation.servers_unknown),
    "DNS-ACME-LEFT": (certificates.acme_left, "Z", None),
    "MAIL-SPF-NONE": (spf.none, "Z", None),
    "MAIL-SPF-MULTI": (spf.multi, "Z", None),
    "MAIL-SPF-SYNTAX": (spf.syntax, "Z", None),
    "MAIL-SPF-TYPO": (spf.typo, "Z", None),
    "MAIL-SPF-LOOKUPS": (spf.lookups, "Z", spf.outside),
    "MAIL-SPF-VOID": (spf.void, "Z", spf.outside),
    "MAIL-SPF-MX10": (spf.mx10, "Z", spf.outside),
    "MAIL-SPF-INCLUDE": (spf.include, "Z", spf.outside),
    "MAIL-SPF-ALL": (spf.too_open, "Z", None),
    "MAIL-SPF-DEAD": (spf.dead, "Z", None),
    "MAIL-SPF-PTR": (spf.ptr, "Z", None),
    "MAIL-SPF-WIDE": (spf.wide, "Z", None),
    "MAIL-DMARC-NONE": (dmarc.none, "Z", dmarc.inherited),
    "MAIL-DMARC-MULTI": (dmarc.multi, "Z", dmarc.delegated),
    "MAIL-DMARC-SYNTAX": (dmarc.syntax, "Z", dmarc.delegated),
    "MAIL-DMARC-WEAK": (dmarc.weak, "Z", dmarc.delegated),
    "MAIL-DMARC-SUB": (dmarc.sub, "Z", dmarc.delegated),
    "MAIL-DMARC-OLD": (dmarc.old, "Z", dmarc.delegated),
    "MAIL-DMARC-BLIND": (dmarc.blind, "Z", dmarc.delegated),
    "MAIL-DKIM-NONE": (dkim.none, "Z", dkim.unlisted),
    "MAIL-DKIM-KEY": (dkim.key, "Z", dkim.delegated),
    "MAIL-DKIM-TEST": (dkim.test_mode, "Z", dkim.delegated),
    "MAIL-MTASTS": (web_mail.mta_sts_whole, "Z", web_mail.policy_unread),
    "MAIL-TLSRPT": (mta_sts.tls_reports, "Z", None),
    "MAIL-BIMI": (web_mail.bimi_whole, "Z", web_mail.logo_unread),
    "CAA-NONE": (caa.none, "Z", None),
    "CAA-SYNTAX": (caa.syntax, "Z", None),
    "CAA-BLOCKS": (caa.blocks, "Z", caa.issuer_unknown),
    "CAA-ACCT": (caa.unbound, "Z", None),
    "TXT-SECRET": (txt.secret, "Z", None),
    "TXT-STALE": (txt.stale, "Z", None),
    "TLS-EXPIRY": (tls.expiry, "T", tls.unseen),
    "TLS-REVOKED": (tls_revocation.revoked, "T", tls_revocation.unasked),
    "TLS-NAME": (tls.name, "Z T", tls.unseen),
    "TLS-CHAIN": (tls.chain, "T", tls.unjudged),
    "TLS-KEY": (tls.key, "T", tls.unseen),
    "TLS-LIFE": (tls.life, "T", tls.unseen),
    "TLS-PROTO": (tls_offer.proto, "T", tls_offer.versions_unseen),
    "TLS-CIPHER": (tls_offer.cipher, "T", tls_offer.suites_unseen),
    "TLS-TUNE-KEY": (tls_tuning.key_type, "T", tls_tuning.unmeasured),
    "TLS-TUNE-CHAIN": (tls_tuning.chain, "T", tls_tuning.unmeasured),
    "TLS-TUNE-SPLIT": (tls_tuning.split, "Z T", tls_tuning.unmeasured),
    "TLS-TUNE-RESUME": (tls_tuning.resumption, "T", tls_tuning.resumption_unseen),
    "TLS-TUNE-STAPLE": (tls_tuning.stapling, "T", tls_tuning.staple_unseen),
    "TLS-MX": (tls_mail.exchangers, "T", tls_mail.exchangers_unseen),
    "PERF-TTL-LOW": (performance.ttl_low, "Z", None),
    "PERF-TTL-HIGH": (performance.ttl_high, "Z", performance.nothing_planned),
    "PERF-CHAIN": (performance.chain, "Z", cname.aliases_outside),
    "PERF-V6": (performance_web.ipv6, "Z", performance_web.ipv6_unseen),
    "PERF-HTTP": (performance_web.http, "H", performance_web.unseen),
    "WEB-HTTPS": (web.https_first, "H", web.unseen),
    "WEB-HSTS": (web.hsts, "H", web.unseen_secure),
    "WEB-HEADERS": (web.headers, "H", web.unseen_secure),
    "WEB-SECTXT": (web.security_txt, "H", web.security_txt_unseen),
    "COST-EXPIRE": (registration.expiring, "R", registration.expiry_unknown),
    "COST-IDLE": (registration.idle, "R", registration.traffic_unknown),
    "COST-GPU": (cost.idle_instances, "L", cost.use_unknown),
    "COST-DUPCERT": (cost.double_certificates, "R", cost.certificates_unknown),
    "REG-LOCK": (registration.unlocked, "R", registration.lock_unknown),
}

CHECKS: tuple[Check, ...] = tuple(
    Check(rule, *_RUNS[rule.id]) if rule.id in _RUNS else Check(rule) for rule in CATALOGUE
)


def examine(facts: Facts, agent: str | None = None) -> tuple[list[Finding], list[NotTested]]:
    """What the checks of one agent (all of them: None) see, and which could not look. Order is the catalogue's."""
    findings: list[Finding] = []
    not_tested: list[NotTested] = []
    for check in CHECKS:
        if agent is not None and check.rule.agent != agent:
            continue
        why = why_not(check, facts)
        if why is not None:
            not_tested.append(NotTested(check.rule.id, why))
        if check.run is not None and not missing(check.needs, facts) and partial.hidden(check.rule.id, facts) is None:
            findings += check.run(facts)
    return findings, not_tested


def why_not(check: Check, facts: Facts) -> str | None:
    """Why a check cannot be run on these facts, or not in full; None when it saw all it needs."""
    lacking = missing(check.rule.needs if check.run is None else check.needs, facts)
    if lacking:
        return f"needs {' and '.join(NEEDS[letter] for letter in lacking)}"
    if check.run is None:
        return "not built yet"
    gap = None if check.gap is None else check.gap(facts)
    return partial.hidden(check.rule.id, facts) or gap or partial.unlisted(check.rule.id, facts)


def missing(needs: str, facts: Facts) -> list[str]:
    """The letters of `needs` that these facts do not have."""
    return [letter for letter in needs.replace(" ", "") if letter not in facts.has]


def catalogue_markdown() -> str:
    """The page `docs/catalogue.md`: every check, what it needs, and whether it can be run yet."""
    running = sum(entry.run is not None for entry in CHECKS)
    lines = [
        "# The check catalogue",
        "",
        "<!-- generated by sophia_cli.checks.registry.catalogue_markdown; do not edit -->",
        "",
        f"{len(CHECKS)} checks, of which {running} run today. A check that cannot run, or not in full, is listed as",
        "*not tested* with its reason; it never counts as passed. Severities are those a finding can have, worst first.",
        "",
        "Needs: " + "; ".join(f"**{letter}** {what}" for letter, what in NEEDS.items()) + ".",
        "",
        "Fix: **auto** is a typed change with nothing missing, **ask** needs a choice, **ui** is done in the web console or",
        "another system, **none** is not possible on Namecheap BasicDNS.",
    ]
    for agent in dict.fromkeys(entry.rule.agent for entry in CHECKS):
        lines += [
            "",
            f"## {agent}",
            "",
            "| id | severity | needs | rule | source | fix | runs |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += _rows(entry for entry in CHECKS if entry.rule.agent == agent)
    return "\n".join(lines) + "\n"


def _rows(entries: Iterable[Check]) -> Iterator[str]:
    for entry in entries:
        rule = entry.rule
        fix = f"{rule.fix}: {rule.note}" if rule.note else rule.fix
        state = "no" if entry.run is None else "yes" if rule.needs == entry.needs else "in part"
        cells = (rule.id, rule.severities.replace(" ", ", "), rule.needs, rule.text, rule.source, fix, state)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
