"""SARIF: valid after the OASIS schema (tests/output/data holds the errata 01 form), and pointing at the right lines."""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.checks.facts import Background
from sophia_cli.core.settings import Ignore, Settings
from sophia_cli.flows.analyze import Analysis, examined
from sophia_cli.output.sarif import sarif
from tests.checks.check_cases import CASES, MAIL, a, facts, txt
from tests.cli.harness import run
from tests.output.test_analysis_forms import hostile, plain

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
SCHEMA = Path(__file__).parent / "data" / "sarif-schema-2.1.0.json"


@cache
def validator() -> Any:
    schema = json.loads(SCHEMA.read_text())
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


def log(analysis: Analysis, **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sarif(analysis, version="0.1.0", **more))
    problems = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in
                validator().iter_errors(document)]  # fmt: skip
    assert problems == []
    return document


def test_the_schema_refuses_what_is_not_sarif() -> None:
    document = json.loads(sarif(plain(), version="0.1.0"))
    document["runs"][0]["results"][0]["level"] = "catastrophe"
    assert [error.validator for error in validator().iter_errors(document)] == ["enum"]


@pytest.mark.parametrize("analysis", [plain, hostile], ids=["plain", "hostile"])
def test_the_log_is_valid(analysis: Any) -> None:
    assert log(analysis())["runs"][0]["results"]
    log(analysis(), file="env/acme.yaml")


def test_the_log_of_every_check_is_valid() -> None:
    for case in CASES:
        log(examined([case.fires]))


def test_the_log_without_findings_is_valid() -> None:
    assert log(examined([facts(a(), txt("x"))], agents=["ssl"]))["runs"][0]["results"] == []


def test_a_file_below_the_working_directory_is_named_relative_to_it() -> None:
    known = Background("zone-file", file="/work/x/zones/acme zone", lines={a(ttl=60).key: (7,)})
    run = log(examined([facts(a(ttl=60), background=known)]), base="/work/x", file="/elsewhere/env.yaml")["runs"][0]
    places = {one["ruleId"]: one["locations"][0]["physicalLocation"] for one in run["results"]}
    assert places["PERF-TTL-LOW"] == {
        "artifactLocation": {"uri": "zones/acme%20zone"},
        "region": {"startLine": 7},
    }
    assert places["CAA-NONE"]["artifactLocation"] == {"uri": "/elsewhere/env.yaml"}


def test_an_ignored_finding_is_a_suppressed_result_with_its_reason() -> None:
    ignore = Ignore("PERF-TTL-LOW", "*", "a test record", date(2027, 1, 1))
    settings = Settings("t", "t", ignores=(ignore,))
    run = log(examined([facts(a(ttl=60), *MAIL, settings=settings)]))["runs"][0]
    suppressed = {one["ruleId"]: one["suppressions"] for one in run["results"] if one.get("suppressions")}
    assert suppressed == {
        "PERF-TTL-LOW": [
            {"kind": "external", "status": "accepted", "justification": "a test record (until 2027-01-01)"}
        ]
    }


def test_the_command_points_at_the_line_of_the_zone_file_and_of_the_environment(work: Path) -> None:
    zone = Path(__file__).parents[2] / "examples" / "broken-zone" / "broken.zone"
    (work / "zones").mkdir()
    (work / "zones" / "acme.zone").write_text(zone.read_text())
    out = run(
        "analyze", "--zone-file", str(work / "zones" / "acme.zone"), "--origin", "acme.example", "-o", "sarif"
    ).out
    document = json.loads(out)
    assert list(validator().iter_errors(document)) == []
    lines = zone.read_text().splitlines()
    for result in document["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "zones/acme.zone"
        if result["ruleId"] in ("TXT-SECRET", "MAIL-SPF-WIDE", "DNS-SPECIAL-IP"):
            assert result["ruleId"] in lines[place["region"]["startLine"] - 1]
    (work / "sophia.yaml").write_text(
        "values:\n  dns:\n    provider: sandbox\n    domain: acme.example\n    records:\n"
        "      api: {name: api, type: A, value: 10.0.0.1}\n"
    )
    assert run("deploy", "--yes", "--wait", "0").code == 0
    document = json.loads(run("analyze", "-o", "sarif").out)
    assert list(validator().iter_errors(document)) == []
    places = {one["ruleId"]: one["locations"][0]["physicalLocation"] for one in document["runs"][0]["results"]}
    assert places["DNS-SPECIAL-IP"] == {"artifactLocation": {"uri": "sophia.yaml"}, "region": {"startLine": 6}}
    assert places["CAA-NONE"] == {"artifactLocation": {"uri": "sophia.yaml"}, "region": {"startLine": 1}}
