"""The check of mail exchangers' TLS where MTA-STS demands it (RFC 8461 4). Judges facts; opens no connection."""

from __future__ import annotations

from collections.abc import Iterator

from sophia_cli.checks.facts import Facts
from sophia_cli.checks.found import finding
from sophia_cli.checks.tls import gaps
from sophia_cli.checks.web import policy_url
from sophia_cli.checks.web_mail import policy_of
from sophia_cli.core.dns import APEX, Record
from sophia_cli.core.endpoints import SMTP, Endpoint, Served
from sophia_cli.core.findings import Finding


def exchangers(facts: Facts) -> Iterator[Finding]:
    """An MX that senders will refuse, because the policy says that its certificate must hold."""
    if not is_enforced(facts):
        return
    for row, endpoint in _mail(facts):
        wrong = [(one, why) for one in endpoint.served if (why := _refused(one)) is not None]
        if wrong:
            yield finding(
                facts, "TLS-MX", f"senders that follow MTA-STS refuse the mail server {endpoint.target.host}: {wrong[0][1]}",
                (row,), "Give it a trusted certificate for its own name and turn STARTTLS on, or set the policy to testing.",
                endpoint=endpoint.label, addresses=[one.address for one, _ in wrong], why=[why for _, why in wrong],
                mode="enforce",
            )  # fmt: skip


def is_enforced(facts: Facts) -> bool:
    """Whether senders refuse a mail server whose certificate does not hold; False where the policy is not known."""
    return _mode(facts) == "enforce"


def _mode(facts: Facts) -> str | None:
    """What the MTA-STS policy asks of senders; None where there is none, or it was not read."""
    url = policy_url(facts)
    visit = None if url is None else (facts.background.http or {}).get(url)
    if visit is None or not visit.is_answered or visit.status != 200:
        return None
    return policy_of(visit.text()).mode


def _mail(facts: Facts) -> Iterator[tuple[Record, Endpoint]]:
    by_host = {
        one.target.host: one for one in facts.endpoints if (one.target.starttls, one.target.port) == ("smtp", SMTP)
    }
    for row in facts.zone.at(APEX, "MX"):
        endpoint = by_host.get(row.value.rstrip(".").lower())
        if endpoint is not None:
            yield row, endpoint


def _refused(one: Served) -> str | None:
    """Why a sender may not deliver there (RFC 8461 4.2): no STARTTLS, another name, an untrusted or ended certificate."""
    if one.starttls is not None and one.starttls.state == "fail":
        return one.starttls.why
    if one.starttls is None or not one.starttls.is_known:
        return None
    if one.spoken.state == "fail":
        return f"STARTTLS fails: {one.spoken.why}"
    for result in (one.name, one.chain.trust):
        if result.state == "fail":
            return result.why
    return None


def exchangers_unseen(facts: Facts) -> str | None:
    """What is not known: the policy's mode, or what an exchanger shows."""
    url = policy_url(facts)
    if url is None or not facts.exchangers:
        return None
    if url not in (facts.background.http or {}):
        return "the policy behind _mta-sts was not fetched"
    if not is_enforced(facts):
        return None
    found = {endpoint.target.host: endpoint for _, endpoint in _mail(facts)}
    open_ = []
    for row in facts.exchangers:
        endpoint = found.get(row.value.rstrip(".").lower())
        if endpoint is None:
            open_.append((row.value.rstrip("."), "not looked at"))
        elif not endpoint.served:
            open_.append((endpoint.label, endpoint.found.why or "no address"))
        else:
            open_ += [
                (endpoint.label, f"{one.address}: {one.spoken.why}")
                for one in endpoint.served
                if one.starttls is None or not one.starttls.is_known
            ]
    return gaps(open_, len(facts.exchangers))
