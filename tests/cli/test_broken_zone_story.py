"""The broken zone as a user meets it: listed from the file, mended on the sandbox, and only the rest is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.checks.test_broken_zone import PLANTED
from tests.cli.harness import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "broken-zone"
SAFE = {"DNS-TTL-RANGE", "DNS-TTL-SET", "PERF-TTL-LOW"}
SEEN_BY_THE_API_ONLY = {"REG-LOCK"}  # the sandbox registrar's lock is off
SEEN_IN_THE_FILE_ONLY = {"DNS-DUP"}  # the provider holds each row once


def analyzed(*words: str) -> list[dict[str, Any]]:
    ran = run("analyze", *words, "-o", "json")
    assert ran.code == 0, ran.err
    findings: list[dict[str, Any]] = ran.data["findings"]
    return findings


def ids(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["id"] for finding in findings}


def test_the_file_alone_shows_the_planted_faults_and_nothing_else() -> None:
    found = analyzed("--zone-file", str(EXAMPLE / "broken.zone"), "--origin", "acme.example")
    assert sorted(finding["id"] for finding in found) == sorted(PLANTED)


@pytest.fixture
def hosted(work: Path) -> Path:
    """The zone on the sandbox, with its environment, as the working directory."""
    shutil.copytree(EXAMPLE, work, dirs_exist_ok=True)
    assert run("sandbox", "load", "broken.zone", "--domain", "acme.example").code == 0
    return work


def test_what_is_safe_is_mended_and_the_rest_stays(hosted: Path) -> None:
    before = analyzed()
    assert ids(before) == PLANTED - SEEN_IN_THE_FILE_ONLY | SEEN_BY_THE_API_ONLY
    ran = run("analyze", "--fix", "--accept", "safe", "--yes", "--confirm", "acme.example", "--wait", "0")
    assert ran.code == 0, ran.err
    assert ids(analyzed()) == ids(before) - SAFE
    assert run("plan", "--detailed-exitcode").code == 0  # the environment says so too, so the fixes last


def test_everything_with_a_fix_can_be_mended_and_taken_back(hosted: Path) -> None:
    # What the provider would not take back, such as a TTL it only has from a file, goes in a run of its own.
    assert run("analyze", "--fix", "--accept", "safe", "--yes", "--wait", "0").code == 0
    before = analyzed()
    fixable = ids([finding for finding in before if finding["fix"] is not None])
    chosen = [word for id in sorted(fixable) for word in ("--accept", id)]
    ran = run("analyze", "--fix", *chosen, "--yes", "--confirm", "acme.example", "--wait", "0")
    assert ran.code == 0, ran.err
    after = analyzed()
    assert [finding["id"] for finding in after if finding["fix"] is not None] == []
    assert ids(after) == ids(before) - fixable
    back = run("rollback", "--yes", "--confirm", "acme.example", "--wait", "0")
    assert back.code == 0, back.err
    assert ids(analyzed()) == ids(before)


def test_an_accepted_id_that_nothing_answers_names_those_that_are_there(hosted: Path) -> None:
    ran = run("analyze", "--fix", "--accept", "DNS-NOTHING", "--yes", "-o", "json")
    assert ran.code == 64
    assert "MAIL-SPF-ALL" in json.dumps(ran.error)
