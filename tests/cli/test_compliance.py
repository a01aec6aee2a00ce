"""`analyze --framework soc2`: controls in every form, and an evidence bundle that can be checked and holds no secret."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.checks.check_cases import TOKEN
from tests.cli.harness import DOMAIN, Shop, run

_TIMED = ("analysis.json", "manifest.json", "SHA256SUMS")
API = "{type: A, value: 203.0.113.10, name: api}"
ZONE = Path(__file__).parents[2] / "examples" / "broken-zone" / "broken.zone"


@pytest.fixture
def worked(acme: Shop) -> Shop:
    """A zone with a history: a deploy, a token published and taken back."""
    acme.environment(API)
    assert acme.run("record", "set", "new", "A", "203.0.113.9", "--yes").code == 0
    acme.sandbox.edit(DOMAIN, add=[{"name": "deploy", "type": "TXT", "address": f"github_token={TOKEN}"}])
    assert acme.run("analyze", "--fix", "--accept", "TXT-SECRET", "--yes", "--confirm", DOMAIN).code == 0
    return acme


def test_controls_rest_on_findings_and_on_what_the_state_shows(worked: Shop) -> None:
    ran = worked.run("analyze", "--framework", "soc2", "-o", "json")
    assert ran.code == 0, ran.err
    controls = {one["id"]: one for one in ran.data["controls"]}
    assert controls["CC1-CC5"]["status"] == "manual"
    assert controls["CC6.6"]["status"] == "attention"
    assert f"DNS-SPECIAL-IP dns:{DOMAIN}" in controls["CC6.6"]["findings"]
    special = next(one for one in ran.data["findings"] if one["id"] == "DNS-SPECIAL-IP")
    assert "CC6.6" in special["controls"]
    assert all(control in controls for one in ran.data["findings"] for control in one["controls"])
    change = {one["kind"]: one["text"] for one in controls["CC8.1"]["evidence"]}
    assert change["runs"].startswith("2 runs, 2 verified from outside")
    assert controls["CC8.1"]["evidence_missing"] == ["drift"]
    held = {one["kind"]: one["text"] for one in controls["CC6.1"]["evidence"]}
    assert held["secrets"] == "3 secrets, 0 due for rotation, 0 lying open"
    assert ran.data["period"]["since"]
    assert sum(ran.data["summary"].values()) == len(controls)


def test_a_zone_file_alone_gives_no_evidence_of_anything_else() -> None:
    ran = run("analyze", "--zone-file", str(ZONE), "--origin", DOMAIN, "--framework", "soc2", "-o", "json")
    controls = {one["id"]: one for one in ran.data["controls"]}
    assert controls["CC7.2"]["status"] == controls["CC8.1"]["status"] == "not assessed"
    assert ran.data["period"] == {"since": None, "until": None}


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_every_form_tells_every_control(worked: Shop, form: str) -> None:
    out = worked.run("analyze", "--framework", "soc2", "-o", form).out
    for id in ("CC6.1", "CC7.2", "CC8.1", "A1.2"):
        assert id.replace(".", "\\." if form == "markdown" else ".") in out
    assert TOKEN not in out
    if form == "html":
        assert not re.search(r"<script|src=|href=", out)
        assert "default-src 'none'" in out
    if form == "text":
        assert max(map(len, out.splitlines())) <= 110


def test_the_bundle_can_be_checked_is_the_same_twice_and_holds_no_secret(worked: Shop) -> None:
    one, two = worked.folder / "one", worked.folder / "two"
    assert worked.run("analyze", "--framework", "soc2", "--evidence", str(one), "-q").code == 0
    assert worked.run("analyze", "--framework", "soc2", "--evidence", str(two), "-q").code == 0
    names = sorted(path.name for path in one.iterdir())
    assert {"analysis.json", "audit.json", "runs.json", "approvals.json", "snapshots.json", "policy.json",
            "threats.json", "secrets.json", "compliance.json", "compliance.md", "manifest.json"} <= set(names)  # fmt: skip
    manifest = json.loads((one / "manifest.json").read_text())
    assert sorted([*(entry["file"] for entry in manifest["files"]), "manifest.json", "SHA256SUMS"]) == names
    assert subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=one, capture_output=True).returncode == 0
    (two / "policy.json").write_text("{}")
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=two, capture_output=True).returncode == 1
    (two / "policy.json").write_bytes((one / "policy.json").read_bytes())
    for entry in manifest["files"]:
        content = (one / entry["file"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])
    for name in names:
        if name not in _TIMED:  # what is measured live carries the time it was measured
            assert (one / name).read_bytes() == (two / name).read_bytes(), name
        content = (one / name).read_text()
        for secret in (TOKEN, worked.sandbox.api_key):
            assert secret not in content, name
        assert (one / name).stat().st_mode & 0o077 == 0
    audit = json.loads((one / "audit.json").read_text())
    assert audit["ok"] is True
    assert len(audit["events"]) == audit["head"]["count"]
    assert len(json.loads((one / "snapshots.json").read_text())) >= 2


def test_a_folder_that_holds_something_is_refused(worked: Shop) -> None:
    (worked.folder / "full").mkdir()
    (worked.folder / "full" / "old.json").write_text("{}")
    ran = worked.run("analyze", "--framework", "soc2", "--evidence", str(worked.folder / "full"))
    assert ran.code == 64
    assert "not empty" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--framework", "iso27001"), "known: soc2"),
        (("--evidence", "x"), "goes with --framework"),
        (("--framework", "soc2", "-o", "sarif"), "this command has"),
    ],
)
def test_what_cannot_be_done_is_said(acme: Shop, words: tuple[str, ...], said: str) -> None:
    acme.environment(API)
    ran = acme.run("analyze", *words)
    assert ran.code == 64
    assert said in ran.err
