"""Checks of web servers by what they answered: HTTPS first, HSTS, headers, security.txt. Asks no server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.tags import parse
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.findings import Finding
from sophia_cli.core.web_facts import Fetch, Visit, hops_data, host_of, shown_url

MOST_NAMES = 20  # of one zone that are visited: the apex, www, then the others in order
PAGE_BYTES = 16 * 1024
TEXT_BYTES = 64 * 1024
YEAR_S = 31_536_000
SECURITY_TXT = "/.well-known/security.txt"
MTA_STS = "/.well-known/mta-sts.txt"

_WEB_TYPES = frozenset({"A", "AAAA", "ALIAS", "CNAME", "URL", "URL301", "FRAME"})
# Names that serve something else than pages, by custom.
_NO_WEB = re.compile(
    r"(?:mail|mx|smtp|imap|pop|pop3|ns|dns|ftp|ssh|vpn|db|ldap)\d*|autodiscover|autoconfig|mta-sts", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Site:
    """One web name with what its two ports answered."""

    name: str
    host: str
    plain: Visit | None
    secure: Visit | None


def wishes(facts: Facts) -> tuple[Fetch, ...]:
    """What is to be asked so that the checks on HTTP answers can run."""
    wanted: list[Fetch] = []
    for name in web_names(facts):
        host = facts.zone.fqdn(name)
        wanted += [Fetch(f"http://{host}/", follow=False, keep=PAGE_BYTES), Fetch(f"https://{host}/", keep=PAGE_BYTES)]
    wanted += [Fetch(url, keep=TEXT_BYTES) for url in security_txt_urls(facts)]
    wanted += policy_wish(facts)
    wanted += [Fetch(url, keep=TEXT_BYTES) for url in logo_urls(facts)]
    wanted += [Fetch(url, keep=PAGE_BYTES, trusted=True) for url in endpoints(facts)]
    return tuple(dict.fromkeys(wanted))


def policy_wish(facts: Facts) -> tuple[Fetch, ...]:
    """The MTA-STS policy alone: whether mail servers' certificates count. Redirects are not followed (RFC 8461 3.3)."""
    policy = policy_url(facts)
    return () if policy is None else (Fetch(policy, follow=False, keep=TEXT_BYTES),)


def web_names(facts: Facts) -> tuple[str, ...]:
    """The names of the zone that may serve pages, the apex and www first."""
    hosts = {row.value for row in facts.zone.records if row.type in ("MX", "NS")}
    inner = {facts.names.inside(host) for host in hosts}
    found = [
        name
        for name, rows in facts.names.rows.items()
        if any(row.type in _WEB_TYPES for row in rows)
        and "*" not in name
        and not any(label.startswith("_") for label in name.split("."))
        and (name in (APEX, "www") or (name not in inner and _NO_WEB.fullmatch(name.split(".")[0]) is None))
    ]
    return tuple(sorted(found, key=lambda name: ((APEX, "www").index(name) if name in (APEX, "www") else 2, name)))[
        :MOST_NAMES
    ]


def endpoints(facts: Facts) -> tuple[str, ...]:
    """The `monitoring.ping_endpoints` that are this zone's to answer for: its own, and for the first zone those of none."""
    if facts.settings is None:
        return ()
    zones = [zone.name for zone in facts.settings.zones]
    return tuple(
        url for url in facts.settings.monitoring.ping_endpoints if _home(host_of(url), zones) == facts.zone.name
    )


def _home(host: str, zones: list[str]) -> str | None:
    around = [zone for zone in zones if host == zone or host.endswith("." + zone)]
    return max(around, key=len) if around else next(iter(zones), None)


def security_txt_urls(facts: Facts) -> tuple[str, ...]:
    """Where security.txt is looked for: at the apex and at www (RFC 9116 3)."""
    return tuple(f"https://{facts.zone.fqdn(name)}{SECURITY_TXT}" for name in web_names(facts) if name in (APEX, "www"))


def policy_url(facts: Facts) -> str | None:
    """Where the MTA-STS policy must be, when one is announced (RFC 8461 3.3)."""
    announced = any(row.value.startswith("v=STSv1") for row in facts.names.at("_mta-sts", "TXT"))
    return f"https://mta-sts.{facts.zone.name}{MTA_STS}" if announced else None


def logo_urls(facts: Facts) -> tuple[str, ...]:
    """The logos that BIMI records name."""
    found = []
    for row in facts.zone.records:
        if row.type == "TXT" and row.name.split(".")[1:2] == ["_bimi"]:
            logo = parse(row.value).get("l")
            if logo and logo.lower().startswith("https://"):
                found.append(logo)
    return tuple(dict.fromkeys(found))


def sites(facts: Facts) -> list[Site]:
    """The web names that were visited."""
    visits = facts.background.http or {}
    found = []
    for name in web_names(facts):
        host = facts.zone.fqdn(name)
        plain, secure = visits.get(f"http://{host}/"), visits.get(f"https://{host}/")
        if plain is not None or secure is not None:
            found.append(Site(name, host, plain, secure))
    return found


def rows_of(facts: Facts, names: Iterable[str]) -> list[Record]:
    """The records that give names their addresses."""
    return [row for name in names for row in facts.names.answer(name) if row.type in _WEB_TYPES]


# -- HTTPS -----------------------------------------------------------------------------------------------------------


def https_first(facts: Facts) -> Iterator[Finding]:
    """What is served on port 80 can be read and changed on the way; the first answer there must lead to https, same host."""
    open_: list[Site] = []
    elsewhere: list[Site] = []
    for site in sites(facts):
        first = site.plain.hops[0] if site.plain is not None and site.plain.hops else None
        if first is None or (first.location is None and not 200 <= first.status < 300):
            continue
        target = first.location or ""
        if target.startswith("https://") and host_of(target) == site.host:
            continue
        (elsewhere if target.startswith("https://") else open_).append(site)
    for found, severity, what in (
        (open_, "high", "is served without encryption"),
        (elsewhere, "medium", "is sent from port 80 to another host, so HSTS is never set for it"),
    ):
        if found:
            yield finding(
                facts, "WEB-HTTPS", f"{_hosts(found)} {what}", rows_of(facts, [site.name for site in found]),
                _help_https(facts, found), severity=severity, hosts=[_https_data(site) for site in found],
            )  # fmt: skip


def _help_https(facts: Facts, found: list[Site]) -> str:
    kinds = {row.type for row in rows_of(facts, [site.name for site in found])}
    if kinds & {"URL", "URL301", "FRAME"}:
        return "Namecheap's forwarder has no certificate for the name: point it at a web server with TLS instead of a URL row."
    return "Answer every request on port 80 with 301 to https on the same host, then set HSTS there."


def _https_data(site: Site) -> dict[str, Any]:
    secure = site.secure
    return {
        "host": site.host,
        "port_80": [] if site.plain is None else hops_data(site.plain),
        "https": "not asked" if secure is None else secure.failure or f"answers {secure.status}",
    }


def hsts(facts: Facts) -> Iterator[Finding]:
    """Without HSTS the first request of every visit may go out in clear."""
    weak: list[tuple[Site, str]] = []
    for site in sites(facts):
        if site.secure is None or not site.secure.hops:
            continue
        why = _hsts_fault(site.secure.hops[0].hsts)
        if why is not None:
            weak.append((site, why))
    if weak:
        yield finding(
            facts, "WEB-HSTS", f"{_hosts([site for site, _ in weak])}: {weak[0][1]}",
            rows_of(facts, [site.name for site, _ in weak]),
            "Send it over https; start with a short max-age if http is still used. nginx: add_header Strict-Transport-Security "
            "max-age=31536000 always; Caddy: header Strict-Transport-Security max-age=31536000",
            hosts=[
                {"host": site.host, "header": site.secure.hops[0].hsts if site.secure else None, "why": why}
                for site, why in weak
            ],
            **_detour([site for site, _ in weak]),
        )  # fmt: skip


def _detour(weak: Iterable[Site]) -> dict[str, Any]:
    """What a visit that begins with http costs before TLS does, by the first host that was seen to redirect to https.

    A browser that knows HSTS does not make that way any more (RFC 6797 8.3).
    """
    for site in weak:
        plain = site.plain
        if plain is None or not plain.hops or not (plain.hops[0].location or "").startswith("https://"):
            continue
        connect_s, first_byte_s = plain.times.connect_s, plain.times.first_byte_s
        if connect_s is not None and first_byte_s is not None:
            ms = (connect_s + first_byte_s) * 1000
            return {
                "before": {"bytes": plain.received, "ms": round(ms, 1)},
                "after": {"bytes": 0, "ms": 0.0},
                "formula": f"the way over http://{site.host}/, which is not made any more: {connect_s * 1000:.1f} ms to connect "
                f"+ {first_byte_s * 1000:.1f} ms to the redirect of {plain.received} bytes",
            }
    return {}


def _hsts_fault(header: str | None) -> str | None:
    if header is None:
        return "no Strict-Transport-Security"
    directives = [part.partition("=") for part in header.split(";")]
    ages = [value.strip().strip('"') for name, _, value in directives if name.strip().lower() == "max-age"]
    if len(ages) != 1 or not ages[0].isascii() or not ages[0].isdigit():
        return "Strict-Transport-Security needs one max-age of whole seconds"  # RFC 6797 6.1.1
    age_s = int(ages[0][:12])
    return None if age_s >= YEAR_S else f"Strict-Transport-Security lasts {age_s} s, less than a year"


# -- headers ---------------------------------------------------------------------------------------------------------


def headers(facts: Facts) -> Iterator[Finding]:
    """What tells browsers not to guess, frame, leak or hand out cookies."""
    poor: dict[str, tuple[Site, list[str]]] = {}
    for site in sites(facts):
        page = _page(facts, site)
        if page is not None:
            missing = _missing(page)
            if missing:
                poor.setdefault(page.final_url, (site, missing))
    if poor:
        together = sorted({what for _, missing in poor.values() for what in missing})
        yield finding(
            facts, "WEB-HEADERS", f"{_hosts([site for site, _ in poor.values()])}: {', '.join(together)}",
            rows_of(facts, [site.name for site, _ in poor.values()]),
            "Set the headers on the web server, Content-Security-Policy first in its report-only form.",
            pages=[{"url": shown_url(url), "missing": missing} for url, (_, missing) in poor.items()],
        )  # fmt: skip


def _page(facts: Facts, site: Site) -> Visit | None:
    """The page a site ends at, if it is one of the zone's own."""
    visit = site.secure
    if visit is None or not visit.is_answered or visit.status != 200:
        return None
    if "html" not in (visit.header("content-type") or "").lower():
        return None
    host = host_of(visit.final_url)
    return visit if host == facts.zone.name or host.endswith("." + facts.zone.name) else None


def _missing(page: Visit) -> list[str]:
    policies = "; ".join(page.headers.get("content-security-policy", ())).lower()
    found = []
    if not policies:
        found.append("no Content-Security-Policy")
    if (page.header("x-content-type-options") or "").strip().lower() != "nosniff":
        found.append("no X-Content-Type-Options: nosniff")
    if "frame-ancestors" not in policies and page.header("x-frame-options") is None:
        found.append("no frame-ancestors")
    if page.header("referrer-policy") is None:
        found.append("no Referrer-Policy")
    loose = sorted({one.name for one in page.cookies if not (one.secure and one.http_only and one.same_site)})
    if loose:
        found.append(f"cookies without Secure, HttpOnly or SameSite: {', '.join(loose[:5])}")
    return found


# -- security.txt ----------------------------------------------------------------------------------------------------


def security_txt(facts: Facts) -> Iterator[Finding]:
    """Where those who find a hole are told whom to tell (RFC 9116)."""
    visits = facts.background.http or {}
    seen = [visits[url] for url in security_txt_urls(facts) if url in visits and visits[url].is_answered]
    faults = [(visit, _security_txt_fault(visit, facts.now)) for visit in seen]
    if not faults or any(fault is None for _, fault in faults):
        return
    visit, fault = min(faults, key=lambda pair: pair[1] == _NONE)  # a file that is there says more than one that is not
    yield finding(
        facts, "WEB-SECTXT", f"security.txt: {fault}", rows_of(facts, [APEX]),
        f"Serve {SECURITY_TXT} over https as text/plain with Contact: and Expires: (at most a year ahead).",
        url=shown_url(visit.url), status=visit.status, why=fault,
    )  # fmt: skip


_NONE = "there is none"


def _security_txt_fault(visit: Visit, now: datetime) -> str | None:
    if visit.status != 200 or "html" in (visit.header("content-type") or "").lower():
        return _NONE
    fields: dict[str, list[str]] = {}
    for line in visit.text().splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith(("#", "-")):
            fields.setdefault(name.strip().lower(), []).append(value.strip())
    if not fields.get("contact"):
        return "it names no Contact" if fields else _NONE
    ends = fields.get("expires", [])
    if len(ends) != 1:
        return "it needs one Expires" if not ends else "it has more than one Expires"
    try:
        expires = datetime.fromisoformat(ends[0].upper().replace("Z", "+00:00"))
    except ValueError:
        return "its Expires is no date of RFC 3339"
    expires = expires if expires.tzinfo is not None else expires.replace(tzinfo=UTC)
    return f"it expired on {expires:%Y-%m-%d}" if expires <= now else None


# -- what could not be seen ------------------------------------------------------------------------------------------


def unseen(facts: Facts) -> str | None:
    """The web names of which neither port gave an answer, with the reason of the first."""
    silent = [
        (site.host, visit.failure)
        for site in sites(facts)
        for visit in (site.secure or site.plain,)
        if visit is not None and not visit.hops and not (site.plain is not None and site.plain.hops)
    ]
    if not web_names(facts):
        return None
    if not sites(facts):
        return "no web name was asked"
    if not silent:
        return None
    host, why = silent[0]
    more = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
    whole = len(silent) == len(sites(facts))
    return f"{'' if whole else 'in part: '}{host}{more} gave no answer: {why}"


def unseen_secure(facts: Facts) -> str | None:
    """The same for what only an answer over TLS can tell."""
    silent = [site for site in sites(facts) if site.secure is None or not site.secure.hops]
    if not web_names(facts) or not silent:
        return unseen(facts) if not sites(facts) else None
    why = silent[0].secure.failure if silent[0].secure is not None else "it was not asked"
    more = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
    return f"{'' if len(silent) == len(sites(facts)) else 'in part: '}{silent[0].host}{more} over https: {why}"


def security_txt_unseen(facts: Facts) -> str | None:
    """Why security.txt could not be looked for."""
    visits = facts.background.http or {}
    failed = [visits[url] for url in security_txt_urls(facts) if url in visits and not visits[url].is_answered]
    answered = [url for url in security_txt_urls(facts) if url in visits and visits[url].is_answered]
    return f"{shown_url(failed[0].url)}: {failed[0].failure}" if failed and not answered else None


def _hosts(found: list[Site]) -> str:
    names = [site.host for site in found]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
