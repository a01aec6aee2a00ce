"""The example with a certificate: its story told against a real Pebble and the sandbox, as its README tells it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sophia_cli.sandbox import peek, running
from tests.cli.harness import run
from tests.providers.acme import pebble

EXAMPLE = Path(__file__).parents[2] / "examples" / "certificates"
README = (EXAMPLE / "README.md").read_text()


def test_the_commands_of_the_readme_exist() -> None:
    for words in sorted(set(re.findall(r"sophia ((?:[a-z]+ )?[a-z]+)", README))):
        if words.split()[0] in ("cert", "sandbox", "heal"):
            assert run(*words.split(), "--help").code == 0, words


@pytest.mark.server
@pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING)
def test_the_example_issues_renews_and_leaves_the_zone_as_it_was(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLE, work, dirs_exist_ok=True)
    data = work / "account.json"
    assert run("sandbox", "load", "acme.zone", "--domain", "acme.example", "--data", str(data)).code == 0
    rows = [(row.name, row.type, row.address) for row in peek(data, "acme.example").rows]  # type: ignore[union-attr]
    options = json.loads((EXAMPLE / "pebble.json").read_text())["pebble"]
    options = {key: options[key] for key in ("certificateValidityPeriod", "profiles")}
    (work / "pebble").mkdir()
    with (
        running(data) as box,
        pebble.running(pebble.PROGRAMS[0], work / "pebble", box, "-strict=false", **options) as ca,
    ):
        shutil.copy(ca.ca_file, work / "pebble-ca.pem")
        variables = {
            "SANDBOX_ENDPOINT": box.endpoint,
            "SANDBOX_DNS": box.dns,
            "ACME_DIRECTORY": ca.directory,
            "NAMECHEAP_API_USER": box.api_user,
            "NAMECHEAP_API_KEY": box.api_key,
            "NAMECHEAP_USERNAME": box.username,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert run("config", "check").code == 0
        ran = run("cert", "issue", "--yes")
        assert ran.code == 0, ran.err
        (work / "root.pem").write_bytes(ca._get("/roots/0").content)
        assert run("cert", "renew", "--force", "--yes").code == 0
        assert run("cert", "rollback", "--yes").code == 0
    current = work / "certificates" / "acme.example" / "current"
    words = [
        "openssl",
        "verify",
        "-CAfile",
        "root.pem",
        "-untrusted",
        str(current / "chain.pem"),
        str(current / "cert.pem"),
    ]
    assert subprocess.run(words, capture_output=True, check=False, cwd=work).returncode == 0
    assert len((work / "reloaded.txt").read_text().splitlines()) == 3
    now = [(row.name, row.type, row.address) for row in peek(data, "acme.example").rows]  # type: ignore[union-attr]
    assert now == rows
