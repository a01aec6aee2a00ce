"""What the SSL specialist tunes: CAA that names account and method, and a smaller profile, where it is known to help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sophia_cli.agents.ssl import SophiaSSLOptimizationAgent
from sophia_cli.checks.caa import blocks
from sophia_cli.checks.facts import Facts
from sophia_cli.core.certificates import AUTHORITIES
from sophia_cli.core.changes import ConfigValue
from sophia_cli.core.dns import Record
from sophia_cli.core.findings import Proposal
from sophia_cli.core.settings import Ssl
from tests.checks.check_cases import a, row, txt, wanting
from tests.checks.tls_cases import HOST, at, certificate, cost, seen, shown

ACCOUNT = "https://acme-v02.api.letsencrypt.org/acme/acct/7"
STANDING = txt(f"letsencrypt.org; accounturi={ACCOUNT}; policy=wildcard", "_validation-persist")
CAA = row("@", "CAA", '0 issue "letsencrypt.org"')
OURS = Ssl(provider="letsencrypt", domains=(HOST,))


def served(*rows: Record, ssl: Ssl = OURS, level: str = "balanced", **known: Any) -> Facts:
    leaf = certificate(**known)
    found = seen(at(shown(leaf, handshake=cost())), rows=(a(), *rows))
    return replace(found, settings=wanting(ssl=ssl, optimization_level=level))


def tuned(facts: Facts) -> dict[str, Proposal]:
    return {one.source.removeprefix("rule:"): one for one in SophiaSSLOptimizationAgent().propose((), facts)}


def caa(facts: Facts) -> str:
    (change,) = tuned(facts)["CAA-ACCT"].changes
    assert isinstance(change.after, Record)
    return change.after.value


def test_caa_names_the_method_and_the_account_where_the_zone_tells_it() -> None:
    assert caa(served(CAA)) == '0 issue "letsencrypt.org; validationmethods=dns-01"'
    assert caa(served(CAA, STANDING)) == f'0 issue "letsencrypt.org; accounturi={ACCOUNT}; validationmethods=dns-01"'
    lasting = replace(OURS, challenge="dns-persist-01")
    assert caa(served(CAA, ssl=lasting)).endswith('validationmethods=dns-persist-01"')


def ordering_as(account: str, *rows: Record) -> Facts:
    """Facts of an environment that orders by an account of its own."""
    found = served(*rows)
    return replace(found, background=replace(found.background, accounts={AUTHORITIES["letsencrypt"]: account}))


def test_the_account_that_orders_here_counts_before_the_one_a_record_names() -> None:
    found = ordering_as("https://ca.example/acct/7", CAA, STANDING)
    assert caa(found) == '0 issue "letsencrypt.org; accounturi=https://ca.example/acct/7; validationmethods=dns-01"'


def test_caa_bound_to_another_account_blocks_the_next_renewal_and_naming_ours_mends_it() -> None:
    bound = row("@", "CAA", '0 issue "letsencrypt.org;validationmethods=dns-01; accounturi=https://ca.example/acct/6"')
    (found,) = blocks(ordering_as("https://ca.example/acct/7", bound))
    assert "another account than ours" in found.title
    assert found.fix is not None
    (change,) = found.fix.changes
    assert isinstance(change.after, Record)
    value = '0 issue "letsencrypt.org;validationmethods=dns-01; accounturi=https://ca.example/acct/7"'
    assert change.after.value == value
    assert list(blocks(ordering_as("https://ca.example/acct/7", change.after))) == []
    assert list(blocks(served(bound))) == []  # no account is known yet: nothing can be said


@pytest.mark.parametrize(
    "facts",
    [
        served(row("@", "CAA", '0 issue "letsencrypt.org; validationmethods=dns-01"')),
        served(row("@", "CAA", '0 issue "letsencrypt.org; accounturi=https://ca.example/9"')),
        served(row("@", "CAA", '0 issue "digicert.com"')),
        served(CAA, ssl=Ssl(provider="letsencrypt")),
        served(CAA, ssl=Ssl(provider="zerossl", domains=(HOST,))),
        served(CAA, level="conservative"),
    ],
    ids=["bound", "another account", "another", "not ordered here", "not honoured", "conservative"],
)
def test_caa_is_left_alone_where_it_is_bound_or_not_ours(facts: Facts) -> None:
    assert "CAA-ACCT" not in tuned(facts)


def test_a_standing_record_of_another_authority_names_no_account() -> None:
    other = txt("ca.example; accounturi=https://ca.example/9", "_validation-persist")
    assert "accounturi" not in caa(served(CAA, other))


@pytest.mark.parametrize(("level", "profile"), [("balanced", "tlsserver"), ("aggressive", "shortlived")])
def test_a_smaller_profile_is_proposed_with_what_it_saves(level: str, profile: str) -> None:
    found = tuned(served(level=level))["TLS-TUNE-PROFILE"]
    (change,) = found.changes
    assert (change.kind, change.before, change.after) == ("config.value", None, ConfigValue("ssl.profile", profile))
    saved = 31 + 11 + len(HOST)  # the key identifier, and the common name
    assert f"4000 bytes and 40.0 ms before, {4000 - saved} bytes and 40.0 ms expected after" in found.reason
    assert found.undo == "sophia rollback: deletes ssl.profile again"


@pytest.mark.parametrize(
    "facts",
    [
        served(ssl=replace(OURS, profile="tlsserver")),
        served(ssl=replace(OURS, directory="https://ca.example/dir")),
        served(ssl=Ssl(provider="letsencrypt", domains=tuple(f"{n}.{HOST}" for n in range(26)))),
        served(issuer_organization="Sectigo Limited"),
        served(names=("other.example",)),
        served(subject=""),
    ],
    ids=["chosen", "another directory", "too many names", "another authority", "not ours", "small already"],
)
def test_a_profile_is_left_alone_where_it_would_not_help(facts: Facts) -> None:
    assert "TLS-TUNE-PROFILE" not in tuned(facts)


def test_without_a_handshake_nothing_is_tuned() -> None:
    facts = served(CAA)
    blind = replace(facts, background=replace(facts.background, tls=None))
    assert tuned(blind) == {}
