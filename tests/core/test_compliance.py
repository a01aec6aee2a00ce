"""Controls: a status is earned by looking, and an empty list is manual, never met."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest

from sophia_cli.checks.catalogue import CATALOGUE
from sophia_cli.cli.compliance import framework_of
from sophia_cli.core.compliance import Control, Evidence, Framework, assess
from sophia_cli.core.errors import UsageError

KNOWN = [rule.id for rule in CATALOGUE]


def one(*checks: str, evidence: tuple[str, ...] = ()) -> Framework:
    return Framework("x", "X", "1", "", (Control("C1", "t", "t", checks, evidence),))


def analysis(
    *findings: tuple[str, str], gaps: dict[str, str] | None = None, ignored: tuple[str, ...] = ()
) -> dict[str, Any]:
    listed = [{"id": id, "target": "dns:a", "severity": severity} for id, severity in findings]
    hidden = [{"finding": {"id": id, "target": "dns:a", "severity": "high"}} for id in ignored]
    not_tested = [{"id": id, "why": why} for id, why in (gaps or {}).items()]
    return {"targets": ["dns:a"], "findings": listed, "not_tested": not_tested, "ignored": hidden}


LOG = Evidence("audit", "whole", "audit.json")


@pytest.mark.parametrize(
    ("framework", "seen", "evidence", "status"),
    [
        (one(), analysis(), (), "manual"),
        (one("DNS-DUP"), analysis(), (), "no open finding"),
        (one("DNS-DUP"), analysis(("DNS-DUP", "medium")), (), "attention"),
        (one("DNS-DUP"), analysis(("DNS-DUP", "low")), (), "no open finding"),
        (one("DNS-DUP"), analysis(gaps={"DNS-DUP": "needs live DNS"}), (), "not assessed"),
        (one("DNS-DUP"), analysis(gaps={"DNS-DUP": "in part: x"}), (), "in part"),
        (one("DNS-DUP", "DNS-LAME"), analysis(gaps={"DNS-LAME": "needs live DNS"}), (), "in part"),
        (one("DNS-DUP"), analysis(ignored=("DNS-DUP",)), (), "in part"),
        (one(evidence=("audit",)), analysis(), (), "not assessed"),
        (one(evidence=("audit",)), analysis(), (LOG,), "no open finding"),
        (one(evidence=("audit", "runs")), analysis(), (LOG,), "in part"),
        (one(evidence=("audit",)), analysis(), (Evidence("audit", "broken", "audit.json", True),), "attention"),
        (one("DNS-D*"), analysis(("DNS-DANGLE-NX", "critical")), (), "attention"),
    ],
)
def test_a_status_is_what_was_looked_at(framework: Framework, seen: Any, evidence: Any, status: str) -> None:
    assert assess(framework, seen, KNOWN, evidence).controls[0].status == status


def test_soc2_names_only_checks_that_there_are_and_covers_every_security_check() -> None:
    soc2 = framework_of("SOC2")
    patterns = [pattern for control in soc2.controls for pattern in control.checks]
    assert [one for one in patterns if not any(fnmatchcase(id, one) for id in KNOWN)] == []
    narrow = [pattern for pattern in patterns if pattern != "*"]
    missed = [
        rule.id
        for rule in CATALOGUE
        if rule.agent in ("security", "ssl") and not any(fnmatchcase(rule.id, one) for one in narrow)
    ]
    assert missed == []
    assert {"CC6.1", "CC6.6", "CC6.7", "CC7.1", "CC7.2", "CC8.1", "A1.2"} <= {control.id for control in soc2.controls}
    assert len({control.id for control in soc2.controls}) == len(soc2.controls)


def test_an_unknown_framework_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        framework_of("../soc2")
    assert "soc2" in (raised.value.hint or "")
