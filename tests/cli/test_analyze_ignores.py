"""Ignores and baselines by the command: what is hidden is counted, listed and dated, and what is new is told from the known."""

from __future__ import annotations

import json

import pytest

from tests.cli.harness import Shop

API = "{type: A, value: 203.0.113.10, name: api}"


def ignoring(acme: Shop, *entries: str) -> None:
    listed = "".join(f"\n    - {entry}" for entry in entries)
    acme.environment(API, more=f"analysis:\n  ignore:{listed}" if entries else "")


def ids(findings: list[dict[str, object]]) -> set[object]:
    return {finding["id"] for finding in findings}


def test_an_ignored_finding_leaves_score_and_fail_on_and_stays_listed(acme: Shop) -> None:
    ignoring(acme)
    before = acme.run("analyze", "-o", "json").data
    assert "DNS-SPECIAL-IP" in ids(before["findings"])
    ignoring(
        acme, '{id: DNS-SPECIAL-IP, target: "dns:acme.example", reason: documentation addresses, until: 2999-01-01}'
    )
    ran = acme.run("analyze", "-o", "json")
    assert "DNS-SPECIAL-IP" not in ids(ran.data["findings"])
    (hidden,) = ran.data["ignored"]
    assert (hidden["finding"]["id"], hidden["reason"], hidden["until"]) == (
        "DNS-SPECIAL-IP", "documentation addresses", "2999-01-01"
    )  # fmt: skip
    assert ran.data["score"] > before["score"] == ran.data["score_with_ignored"]
    text = acme.run("analyze").out
    assert "ignored (1; they count neither" in text
    assert f"({before['score']} with what is ignored)" in text
    markdown = acme.run("analyze", "-o", "markdown").out
    assert "### Ignored (1)" in markdown
    assert "Ignored (1)" in acme.run("analyze", "-o", "html").out
    severity = next(one["severity"] for one in before["findings"] if one["id"] == "DNS-SPECIAL-IP")
    worse = {one["severity"] for one in ran.data["findings"]}
    if severity not in worse:
        assert acme.run("analyze", "--fail-on", severity).code == 0


def test_an_expired_or_bare_ignore_hides_nothing_and_is_reported_at_its_line(acme: Shop) -> None:
    ignoring(acme, "{id: DNS-SPECIAL-IP, reason: x, until: 2020-01-01}", "{id: DNS-WILDCARD}")
    data = acme.run("analyze", "-o", "json").data
    assert {"DNS-SPECIAL-IP", "IGNORE-EXPIRED", "IGNORE-INCOMPLETE"} <= ids(data["findings"])
    assert data["ignored"] == []
    lines = acme.file.read_text().splitlines()
    for finding in data["findings"]:
        if finding["id"].startswith("IGNORE-"):
            (place,) = finding["places"]
            assert finding["evidence"]["ignore"] in lines[place["line"] - 1]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{id: X, reason: y, until: soon}", "is not a day"),
        ("{reason: y, until: 2027-01-01}", "needs the id"),
        ("5", "a map is needed"),
    ],
)
def test_an_ignore_that_cannot_be_read_stops_the_command(acme: Shop, entry: str, said: str) -> None:
    ignoring(acme, entry)
    ran = acme.run("analyze")
    assert ran.code == 64
    assert said in ran.err


def test_a_baseline_leaves_only_what_is_new(acme: Shop) -> None:
    ignoring(acme)
    first = acme.run("analyze", "-o", "json")
    file = acme.folder / "baseline.json"
    file.write_text(first.out)
    same = acme.run("analyze", "--baseline", str(file), "-o", "json", "--fail-on", "info")
    assert (same.code, same.data["findings"], same.data["score"]) == (0, [], first.data["score"])
    assert same.data["baseline"]["known"] == len(first.data["findings"])
    assert "nothing new" in acme.run("analyze", "--baseline", str(file)).out
    acme.sandbox.edit("acme.example", add=[{"name": "*", "type": "A", "address": "185.199.108.1"}])
    new = acme.run("analyze", "--baseline", str(file), "-o", "json", "--fail-on", "info")
    assert new.code == 2
    assert "DNS-WILDCARD" in ids(new.data["findings"])
    assert len(new.data["findings"]) < len(first.data["findings"])


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"schema": "sophia.plan/1", "data": {}}), None])
def test_a_baseline_that_is_none_is_refused(acme: Shop, text: str | None) -> None:
    ignoring(acme)
    file = acme.folder / "baseline.json"
    if text is not None:
        file.write_text(text)
    ran = acme.run("analyze", "--baseline", str(file))
    assert ran.code == 64
    assert "baseline" in ran.err
