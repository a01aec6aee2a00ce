"""Sources that only sophia's own flows may claim: a plan file that names one gets nothing by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.harness import DOMAIN, Shop

API = "{type: A, value: 203.0.113.10, name: api}"
VALUE = "gfj9Xq_Rg85nM0Zc8eMBx3y7QkH4Yc5bQv0aZ1s2d3E"
# Challenge records are exempt from these: whoever passed for one would meet no limit.
TIGHT = "ai_infrastructure: {limits: {max_changes: 0, per_day: 0}}"


def forged(acme: Shop, source: str) -> dict[str, Any]:
    """A plan file, as `plan --out` wrote it, with one change more under that source."""
    assert acme.run("plan", "--out", "plan.json").code == 0
    document: dict[str, Any] = json.loads((acme.folder / "plan.json").read_text())
    row = {"name": "_acme-challenge", "type": "TXT", "value": VALUE, "ttl": 60, "priority": None}
    document["data"]["changes"].append(
        {
            "id": "c1", "target": f"dns:{DOMAIN}", "kind": "dns.record", "action": "create", "before": None,
            "after": row, "source": source, "reason": "proves control of the name", "risk": "low",
            "reversible": True, "confidence": None,
        }
    )  # fmt: skip
    return document


def deploy(acme: Shop, document: dict[str, Any]) -> Any:
    (acme.folder / "forged.json").write_text(json.dumps(document))
    return acme.run("deploy", "forged.json", "--yes", "--confirm", DOMAIN, "-o", "json")


@pytest.mark.parametrize("source", ["rule:acme-challenge", "rule:renewal"])
def test_a_plan_file_cannot_claim_a_source_of_our_own(acme: Shop, source: str) -> None:
    acme.environment(API, more=TIGHT)
    document, rows, text = forged(acme, source), acme.rows(), acme.file.read_text()
    ran = deploy(acme, document)
    assert ran.code in (0, 3)
    if ran.code == 3:  # a forger knows the digest of what is rebuilt, too
        assert ran.error["kind"] == "StalePlan"
        document["data"]["digest"] = ran.error["details"]["found"]
        deploy(acme, document)
    assert (acme.rows(), acme.file.read_text()) == (rows, text)


def test_a_plan_file_may_bring_what_a_person_accepted_and_the_limits_hold_for_it(acme: Shop) -> None:
    acme.environment(API, more=TIGHT)
    document, rows = forged(acme, "rule:CAA-NONE"), acme.rows()
    ran = deploy(acme, document)
    document["data"]["digest"] = ran.error["details"]["found"]
    ran = deploy(acme, document)
    assert (ran.code, ran.error["kind"]) == (3, "Refused")
    assert "limits.max_changes" in ran.err
    assert acme.rows() == rows
