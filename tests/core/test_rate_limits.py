"""Counting what an authority allows: stopping where it would, no earlier, whatever the clock did."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia_cli.core.rate_limits import (
    LETS_ENCRYPT,
    Ledger,
    Limit,
    Request,
    failed,
    issued,
    left,
    limits_of,
    ordered,
    pruned,
    stop,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def registered(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def request(*names: str, advised: bool = False, same_names: bool = False) -> Request:
    return Request(names or ("example.com",), registered, advised, same_names)


def test_the_sixth_certificate_for_the_same_names_is_stopped_until_one_comes_back() -> None:
    ledger = Ledger()
    for _ in range(5):
        assert stop(ledger, LETS_ENCRYPT, request("a.example.com", "B.example.com."), NOW) is None
        ledger = issued(ledger, LETS_ENCRYPT, request("b.example.com", "a.example.com"), NOW)
    found = stop(ledger, LETS_ENCRYPT, request("a.example.com", "b.example.com"), NOW)
    assert found is not None
    assert found.limit.kind == "duplicate-certificates"
    assert found.until == NOW + timedelta(hours=33, minutes=36)  # one in 34 hours, as Let's Encrypt rounds it
    assert "a.example.com,b.example.com" in str(found)
    assert stop(ledger, LETS_ENCRYPT, request("a.example.com"), NOW) is None
    assert stop(ledger, LETS_ENCRYPT, request("a.example.com", "b.example.com"), found.until) is None


def test_failures_of_a_name_stop_orders_for_it_and_its_wildcard() -> None:
    ledger = Ledger()
    for _ in range(5):
        ledger = failed(ledger, LETS_ENCRYPT, "www.example.com", NOW)
    found = stop(ledger, LETS_ENCRYPT, request("*.www.example.com", advised=True), NOW)
    assert found is not None  # a renewal is exempt from other limits, and not from this one
    assert found.until == NOW + timedelta(minutes=12)
    assert stop(ledger, LETS_ENCRYPT, request("mail.example.com"), NOW) is None


def test_fifty_certificates_of_one_registered_domain_are_all_there_are_in_a_week() -> None:
    ledger = Ledger()
    for index in range(50):
        assert stop(ledger, LETS_ENCRYPT, request(f"n{index}.example.com"), NOW) is None
        ledger = issued(ledger, LETS_ENCRYPT, request(f"n{index}.example.com"), NOW)
    found = stop(ledger, LETS_ENCRYPT, request("n50.example.com"), NOW)
    assert found is not None
    assert (found.limit.kind, found.subject) == ("certificates-per-domain", "example.com")
    assert stop(ledger, LETS_ENCRYPT, request("n50.example.org"), NOW) is None
    # Renewals: advised ones are exempt, those of the same names as well from this limit.
    assert stop(ledger, LETS_ENCRYPT, request("n1.example.com", advised=True), NOW) is None
    assert stop(ledger, LETS_ENCRYPT, request("n1.example.com", same_names=True), NOW) is None


def test_advised_renewals_spend_nothing_and_renewals_of_the_same_names_spend_one_limit_only() -> None:
    assert issued(Ledger(), LETS_ENCRYPT, request(advised=True), NOW) == Ledger()
    assert ordered(Ledger(), LETS_ENCRYPT, request(advised=True), NOW) == Ledger()
    spent = issued(Ledger(), LETS_ENCRYPT, request(same_names=True), NOW)
    assert [kind for kind, _ in spent.full_at] == ["duplicate-certificates"]


def test_what_is_left_is_told_before_it_is_gone() -> None:
    ledger = Ledger()
    for _ in range(4):
        ledger = failed(ledger, LETS_ENCRYPT, "example.com", NOW)
    counts = {one.limit.kind: one.count for one in left(ledger, LETS_ENCRYPT, request(), NOW)}
    assert counts == {
        "new-orders": 300,
        "certificates-per-domain": 50,
        "duplicate-certificates": 5,
        "failed-validations": 1,
    }


def test_only_authorities_that_publish_limits_have_any() -> None:
    assert limits_of("https://acme-v02.api.letsencrypt.org/directory") == LETS_ENCRYPT
    assert limits_of("https://acme-staging-v02.api.letsencrypt.org/directory") not in ((), LETS_ENCRYPT)
    assert limits_of("https://127.0.0.1:14000/dir") == ()


def test_a_clock_that_was_ahead_holds_nothing_up_for_longer_than_the_window() -> None:
    ledger = failed(Ledger(), LETS_ENCRYPT, "example.com", NOW + 1000 * DAY)
    found = stop(ledger, LETS_ENCRYPT, request(), NOW)
    assert found is not None
    assert found.until <= NOW + HOUR


def test_a_ledger_survives_being_stored_and_forgets_what_is_over() -> None:
    ledger = issued(failed(Ledger(), LETS_ENCRYPT, "example.com", NOW), LETS_ENCRYPT, request(), NOW)
    assert Ledger.from_data(json.loads(json.dumps(ledger.data()))) == ledger
    assert pruned(ledger, NOW + 8 * DAY) == Ledger()
    for bad in ([["a", "b"]], [["a", "b", "c"]], [["a", "b", "2026-01-01"]], 7):
        with pytest.raises((ValueError, TypeError)):
            Ledger.from_data(bad)  # type: ignore[arg-type]


@given(
    capacity=st.integers(1, 8),
    hours=st.integers(1, 200),
    gaps=st.lists(st.integers(0, 2000), max_size=60),
)
def test_the_count_is_that_of_a_token_bucket(capacity: int, hours: int, gaps: list[int]) -> None:
    """Beside a bucket that is simulated in fractions of a token."""
    from fractions import Fraction

    limit = Limit("duplicate-certificates", capacity, timedelta(hours=hours), "certificates")
    refill = limit.refill  # rounded to the microsecond, as the product has it
    tokens, now, ledger = Fraction(capacity), NOW, Ledger()
    for gap in gaps:
        now += timedelta(minutes=gap)
        tokens = min(
            Fraction(capacity),
            tokens
            + Fraction(timedelta(minutes=gap) // timedelta(microseconds=1)) / (refill // timedelta(microseconds=1)),
        )
        free = stop(ledger, [limit], request(), now) is None
        if abs(tokens - 1) > Fraction(1, 1000):  # at the very edge the rounding of microseconds decides
            assert free == (tokens >= 1)
        if free:
            ledger, tokens = issued(ledger, [limit], request(), now), max(Fraction(0), tokens - 1)
