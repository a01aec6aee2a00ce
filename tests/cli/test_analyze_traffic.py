"""`sophia analyze --traffic`: alone, beside a zone file, and in every form without obeying what a log says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.cli.harness import run, spawn

ZONE = "$ORIGIN acme.example.\n$TTL 300\n@ IN A 185.199.108.153\nwww IN A 185.199.108.153\n"
HOSTILE = "\x1b[31mevil\u202e<b>|`"


def line(client: str, path: str = "/app.css", host: str = "", minute: int = 0) -> str:
    return f'{host}{client} - - [22/Nov/2026:{10 + minute // 60:02d}:{minute % 60:02d}:00 +0000] "GET {path} HTTP/1.1" 200 10'


def log(folder: Path, count: int = 1500) -> Path:
    path = folder / "access.log.gz"
    lines = [line("9.9.9.9" if n % 3 else "203.0.113.9", minute=n // 10) for n in range(count)]
    path.write_bytes(gzip.compress("\n".join([*lines, "junk"]).encode()))
    return path


def test_a_log_alone_is_counted_and_says_that_no_zone_is_known(work: Path) -> None:
    ran = run("analyze", "--traffic", str(log(work)), "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert document["schema"] == "sophia.traffic/1"
    data = document["data"]
    assert (data["lines"], data["malformed"], data["entries"]) == (1501, 1, 1500)
    assert [one["kind"] for one in data["advice"]] == ["cdn"]
    assert data["advice"][0]["changes"] == []
    assert "no zone is known here" in data["notes"][0]


def test_beside_a_zone_file_the_advice_names_the_changes_a_move_needs(work: Path) -> None:
    (work / "acme.zone").write_text(ZONE)
    (work / "regions.csv").write_text("block,region\n9.0.0.0/8,eu\n203.0.113.0/24,us\n")
    words = ("analyze", "--zone-file", "acme.zone", "--origin", "acme.example", "--traffic", str(log(work)))
    ran = run(*words, "--regions", "regions.csv", "-o", "json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["schema"] == "sophia.analysis/1"
    advice = document["data"]["traffic"]["advice"][0]
    assert (advice["kind"], advice["name"]) == ("cdn", "acme.example")  # the log names no host: it is the zone's
    assert advice["inputs"]["regions"] == {"eu": 0.667, "us": 0.333}
    assert advice["changes"][-1]["after"]["type"] == "ALIAS"
    assert document["data"]["findings"]
    text = run(*words).out
    assert "health" in text
    assert "create ALIAS @ CDN-HOST. (TTL 300)" in text
    assert "Namecheap BasicDNS has ALIAS for the apex" in " ".join(text.split())
    markdown = run(*words, "-o", "markdown").out
    assert "## sophia analyze: traffic" in markdown


def test_a_hostile_log_steers_no_terminal_and_no_page(work: Path) -> None:
    rows = [line("9.9.9.9", "/", host=f"{HOSTILE} ", minute=n // 50) for n in range(1200)]
    rows += [line("203.0.113.9", "/", host=f"{HOSTILE} ") for _ in range(600)]
    (work / "a.log").write_text("\n".join(rows), encoding="utf-8")
    (work / "r.csv").write_text(f"9.0.0.0/8,{HOSTILE}\n203.0.113.0/24,us\n", encoding="utf-8")
    for form in ("text", "markdown"):
        ran = run("analyze", "--traffic", "a.log", "--regions", "r.csv", "-o", form)
        assert ran.code == 0, ran.err
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
        assert "\\x1b" in ran.out
        assert form == "text" or "<b>" not in ran.out


def test_what_cannot_be_read_is_said_with_its_reason(work: Path) -> None:
    (work / "r.csv").write_text("nonsense/99,x\n")
    for words, said in (
        (("--traffic", "none.log"), "none.log: cannot be read"),
        (("--traffic", str(log(work)), "--regions", "r.csv"), "r.csv:1: 'nonsense/99' is no address block"),
        (("--traffic", str(log(work)), "--regions", "none.csv"), "none.csv: cannot be read"),
        (("--regions", "r.csv"), "--regions goes with --traffic"),
        (("--traffic", str(log(work)), "-o", "sarif"), "-o sarif"),
    ):
        ran = run("analyze", *words)
        assert ran.code == 64
        assert said in ran.err
        assert "Traceback" not in ran.err


def test_standard_input_is_read_and_nothing_heavy_is_loaded(work: Path) -> None:
    (work / "run.py").write_text(
        "import sys\nfrom sophia_cli.cli.app import main\n"
        "code = main(['analyze', '--traffic', '-', '-o', 'json'])\n"
        "heavy = {'httpx', 'dns', 'cryptography', 'pulumi', 'openai'} & set(sys.modules)\n"
        "sys.exit(code or (7 if heavy else 0))\n"
    )
    import subprocess
    import sys

    text = "Nov 22 10:30:15 gw dnsmasq[1]: query[A] www.acme.example from 10.0.0.1\n" * 3
    done = subprocess.run(
        [sys.executable, "run.py"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["names"][0]["count"] == 3
    assert spawn("analyze", "--traffic", "-", cwd=work).code == 0  # nothing comes


def test_the_ttl_that_a_query_log_suggests_is_applied_through_the_plan_and_then_no_longer_proposed(work: Path) -> None:
    (work / "acme.zone").write_text("$ORIGIN acme.example.\n$TTL 600\napi IN A 185.199.108.153\n")
    (work / "sophia.yaml").write_text(
        "values:\n  dns:\n    provider: sandbox\n    domain: acme.example\n    records:\n"
        "      api: {name: api, type: A, value: 185.199.108.153}\n"
        "  ai_infrastructure: {autonomy: autonomous-safe, limits: {max_percent: 100}}\n"
    )
    assert run("sandbox", "load", "acme.zone", "--domain", "acme.example").code == 0
    queries = "".join(
        f"{20 + n // 5500}-Nov-2026 {n // 230 % 24:02d}:{n % 60:02d}:00.000 client @0x7f 9.9.9.9#53 (api.acme.example): "
        "query: api.acme.example IN A + (127.0.0.1)\n"
        for n in range(11_000)
    )
    (work / "queries.log").write_text(queries)
    ran = run("analyze", "--traffic", "queries.log", "--fix", "--accept", "safe", "--yes", "--wait", "0")
    assert ran.code == 0, ran.err
    assert "applied, verified from outside" in ran.out
    assert "ttl: 3600" in (work / "sophia.yaml").read_text()
    data = json.loads(run("analyze", "--traffic", "queries.log", "-o", "json").out)["data"]
    assert data["traffic"]["advice"] == []
    assert run("plan", "--detailed-exitcode").code == 0
