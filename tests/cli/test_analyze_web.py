"""`sophia analyze` with web servers, a cloud account and prices, all on loopback: what is asked, said and kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sophia_cli.sandbox import seed
from tests.cli.harness import DOMAIN, Shop, shop
from tests.providers.web_servers import Serve, answer, listening, says

RECORD = "{name: api, type: A, value: 203.0.113.10}"


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[str]:
    """A web server in a thread of its own; gives its address."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), []
    stop = asyncio.Event()

    async def live() -> None:
        async with listening(serve) as port:
            found.append(port)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{found[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def analysis(acme: Shop, *words: str) -> dict[str, object]:
    ran = acme.run("analyze", "-o", "json", *words)
    assert ran.code == 0, ran.err
    data: dict[str, object] = ran.data
    return data


def findings(acme: Shop, id: str, *words: str) -> list[dict[str, object]]:
    return [one for one in analysis(acme, *words)["findings"] if one["id"] == id]  # type: ignore[attr-defined, misc]


def test_configured_endpoints_are_visited_and_their_times_kept(acme: Shop) -> None:
    seen: list[bytes] = []

    def reply(request: bytes) -> bytes:
        seen.append(request)
        return answer(200, b"ok")

    with serving(says(reply)) as url:
        acme.environment(RECORD, more=f"monitoring:\n  ping_endpoints: [{url}/health]")
        assert findings(acme, "PERF-HTTP") == []
        assert findings(acme, "PERF-HTTP") == []
    assert len(seen) == 2
    kept = json.loads(next(acme.folder.glob(".sophia/measurements/*.json")).read_text())
    assert len(kept[f"web {url}/health"]) == 2
    (down,) = findings(acme, "PERF-HTTP")
    assert down["severity"] == "high"
    assert "cannot be connected to: refused" in str(down["evidence"]["why"])  # type: ignore[index]
    assert len(json.loads(next(acme.folder.glob(".sophia/measurements/*.json")).read_text())[f"web {url}/health"]) == 2


def test_only_specialists_that_need_answers_make_visits(acme: Shop) -> None:
    acme.environment(RECORD, more="monitoring:\n  ping_endpoints: ['http://127.0.0.1:1/']")
    assert findings(acme, "PERF-HTTP", "--agent", "cost") == []
    assert len(findings(acme, "PERF-HTTP", "--agent", "performance")) == 1


def test_an_idle_instance_is_told_with_its_price_and_a_used_one_is_not(
    acme: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = {"name": "gpu_1x_a100", "price_cents_per_hour": 129}
    rows = [
        {
            "id": f"i-{n}",
            "name": f"m{n}",
            "ip": ip,
            "status": "active",
            "instance_type": kind,
            "jupyter_token": "hunter2",
        }
        for n, ip in enumerate(("203.0.113.10", "198.51.100.9"))
    ]
    with serving(says(answer(200, json.dumps({"data": rows}).encode()))) as url:
        monkeypatch.setenv("LAMBDA_API_KEY", "secret_EXAMPLE_key")
        monkeypatch.setenv("LAMBDA_API_URL", url)
        acme.environment(RECORD)
        ran = acme.run("analyze", "-o", "json")
    (idle,) = [one for one in ran.data["findings"] if one["id"] == "COST-GPU"]
    assert idle["evidence"]["instance"] == "i-1"
    assert idle["evidence"]["cost"]["amount"] == "941.70"
    assert "hunter2" not in ran.out + ran.err
    assert "EXAMPLE_key" not in ran.out + ran.err


def test_a_cloud_account_that_refuses_leaves_its_check_not_tested(acme: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(says(answer(401, b'{"error": {"code": "global/invalid-api-key"}}'))) as url:
        monkeypatch.setenv("LAMBDA_API_KEY", "secret_EXAMPLE_key")
        monkeypatch.setenv("LAMBDA_API_URL", url)
        acme.environment(RECORD)
        ran = acme.run("analyze")
    assert ran.code == 0
    assert "the cloud's instances could not be read: Lambda Cloud does not take the API key" in ran.err
    assert re.search(r"COST-GPU[A-Z, -]*: needs a local inventory or logs", " ".join(ran.out.split()))


def test_bought_certificates_are_listed_where_costs_are_looked_at(acme: Shop) -> None:
    acme.environment(RECORD)
    assert "COST-DUPCERT" not in {one["id"] for one in analysis(acme)["not_tested"]}  # type: ignore[attr-defined]
    acme.environment(RECORD, more="ssl:\n  provider: letsencrypt\n  domains: [acme.example]")
    assert "COST-DUPCERT" not in {one["id"] for one in analysis(acme)["not_tested"]}  # type: ignore[attr-defined]


def test_an_idle_domain_is_told_with_what_its_renewal_costs(work: Path) -> None:
    rows = [("www", "CNAME", "parkingpage.namecheap.com.", 1800)]
    with shop(work, *rows, email_type="NONE") as parked:
        seed(parked.data_file, DOMAIN, email_type="NONE", rows=rows, auto_renew=True)
        parked.environment()
        (idle,) = findings(parked, "COST-IDLE")
    cost = idle["evidence"]["renewal"]  # type: ignore[index]
    assert cost["amount"] == "13.16"  # the sandbox's list: 12.98 a year, and a fee of 0.18
    assert cost["inputs"] == {"price": "12.98", "fee": "0.18", "years": "1"}
    assert cost["source"] == "namecheap.users.getPricing RENEW example"
