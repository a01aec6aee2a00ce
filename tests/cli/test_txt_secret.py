"""A token in a TXT record: it is mended by `analyze --fix` and can be rolled back, and no output repeats it."""

from __future__ import annotations

import pytest

from tests.cli.harness import DOMAIN, Ran, Shop

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
LIMITS = "ai_infrastructure: {limits: {max_deletes: 50, max_percent: 100}}"
LEAK = {"name": "deploy", "type": "TXT", "address": f"github_token={TOKEN}"}

ROW = (LEAK["name"], LEAK["type"], LEAK["address"])


@pytest.fixture
def leaking(acme: Shop) -> Shop:
    acme.environment("{type: A, value: 203.0.113.10, name: api}", dns="purge: true", more=LIMITS)
    acme.sandbox.edit(DOMAIN, add=[LEAK])
    return acme


def silent(ran: Ran) -> Ran:
    """The same, once it is known to show no token, however a format escapes it."""
    assert TOKEN not in ran.out + ran.err
    assert TOKEN not in (ran.out + ran.err).replace("\\", "")
    return ran


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_a_plan_that_deletes_it_shows_no_token(leaking: Shop, form: str) -> None:
    assert "[secret]" in silent(leaking.run("plan", "-o", form)).out.replace("\\", "")


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html", "sarif"])
def test_an_analysis_shows_no_token_in_finding_or_fix(leaking: Shop, form: str) -> None:
    assert "TXT-SECRET" in silent(leaking.run("analyze", "-o", form)).out


def test_a_record_that_is_kept_shows_no_token(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.10, name: api}")
    acme.sandbox.edit(DOMAIN, add=[LEAK])
    ran = silent(acme.run("plan", "-o", "json"))
    assert "[secret]" in [one["record"]["value"] for one in ran.data["kept"]]


def test_the_fix_deletes_it_and_a_rollback_brings_back_the_very_text(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.10, name: api}")
    acme.sandbox.edit(DOMAIN, add=[LEAK])
    silent(acme.run("deploy", "--yes"))
    words = ("analyze", "--fix", "--accept", "TXT-SECRET", "--yes", "--confirm", DOMAIN)
    assert silent(acme.run(*words)).code == 0
    assert ROW not in acme.rows()
    silent(acme.run("audit", "show", "-o", "json"))
    assert silent(acme.run("rollback", "--yes", "--confirm", DOMAIN)).code == 0
    assert ROW in acme.rows()


def test_a_plan_file_shows_no_token_and_is_still_bound_to_it(leaking: Shop) -> None:
    file = leaking.folder / "plan.json"
    silent(leaking.run("plan", "--out", str(file)))
    assert TOKEN not in file.read_text()
    other = {**LEAK, "address": LEAK["address"][:-1] + "Z"}
    leaking.sandbox.edit(DOMAIN, remove=[LEAK], add=[other])
    assert (
        silent(leaking.run("deploy", str(file), "--yes", "--confirm", DOMAIN)).code == 3
    )  # another token, another digest
    leaking.sandbox.edit(DOMAIN, remove=[other], add=[LEAK])
    assert silent(leaking.run("deploy", str(file), "--yes", "--confirm", DOMAIN)).code == 0
