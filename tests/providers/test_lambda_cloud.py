"""Lambda Cloud against a server on loopback: instances, prices, tokens left out, every refusal a clear one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.errors import (
    BadResponse,
    CredentialsRejected,
    ProviderRefused,
    RateLimited,
    SophiaError,
    Unreachable,
    UsageError,
)
from sophia_cli.core.inventory import Instance, with_uses
from sophia_cli.providers.lambda_cloud import LambdaCloud
from tests.providers.web_servers import answer, listening, says

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = SecretStr("secret_EXAMPLE_key")
KIND = {"name": "gpu_1x_a100", "description": "1x A100", "price_cents_per_hour": 129, "specs": {"gpus": 1}}
ROW = {
    "id": "i-1", "name": "train", "ip": "185.199.108.9", "status": "active", "region": {"name": "us-west-1"},
    "instance_type": KIND, "jupyter_token": "hunter2", "jupyter_url": "https://x/?token=hunter2",
}  # fmt: skip


def asked(reply: Callable[[str], bytes]) -> tuple[tuple[Instance, ...], list[bytes]]:
    """What the client makes of a server that answers by path; and the requests."""
    requests: list[bytes] = []

    def serve(request: bytes) -> bytes:
        requests.append(request)
        return reply(request.split(b" ")[1].decode())

    async def scene() -> tuple[Instance, ...]:
        async with listening(says(serve)) as port:
            return await LambdaCloud(KEY, f"http://127.0.0.1:{port}").instances(NOW)

    return asyncio.run(scene()), requests


def data(value: Any, status: int = 200) -> Callable[[str], bytes]:
    body = json.dumps({"data": value} if status == 200 else {"error": {"code": value, "message": "m"}}).encode()
    return lambda path: answer(status, body, Content_Type="application/json")


def test_instances_come_with_their_list_price_and_without_their_tokens() -> None:
    found, requests = asked(data([ROW]))
    assert found == (
        Instance("i-1", "Lambda Cloud", "train", "active", "gpu_1x_a100", "us-west-1", "185.199.108.9", 129, NOW),
    )
    assert "hunter2" not in repr(found)
    assert len(requests) == 1
    assert b"authorization: bearer secret_example_key" in requests[0].lower()


def test_a_price_that_is_not_with_the_instance_is_looked_up() -> None:
    bare = {**ROW, "instance_type": {"name": "gpu_1x_a100"}}
    types = {"gpu_1x_a100": {"instance_type": KIND, "regions_with_capacity_available": []}, "odd": 7}

    def reply(path: str) -> bytes:
        return data(types if path.endswith("instance-types") else [bare])(path)

    found, requests = asked(reply)
    assert [one.cents_an_hour for one in found] == [129]
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (data("global/invalid-api-key", 401), CredentialsRejected),
        (data("global/forbidden", 403), CredentialsRejected),
        (data("global/quota", 429), RateLimited),
        (data("global/invalid-parameters", 400), ProviderRefused),
        (data("provider/down", 503), Unreachable),
        (data({"id": "i-1"}), BadResponse),
        (data([{"id": 7, "status": "active"}]), BadResponse),
        (data(["x"]), BadResponse),
        (lambda path: answer(200, b"<html>"), BadResponse),
        (lambda path: answer(301, Location="https://elsewhere.example/"), BadResponse),
        (lambda path: answer(200, b"[" * 100_000), BadResponse),
        (lambda path: b"nonsense", Unreachable),
    ],
)
def test_every_other_answer_is_an_error_of_ours_that_shows_no_key(
    reply: Callable[[str], bytes], error: type[SophiaError]
) -> None:
    with pytest.raises(error) as raised:
        asked(reply)
    assert "EXAMPLE_key" not in f"{raised.value!r} {raised.value.hint} {raised.value.details}"


def test_odd_fields_are_left_out_and_not_believed() -> None:
    odd = {**ROW, "ip": "not an address", "name": None, "region": "x", "instance_type": {"price_cents_per_hour": "12"}}
    found, _ = asked(lambda path: data({} if path.endswith("types") else [odd])(path))
    assert found[0] == Instance("i-1", "Lambda Cloud", "", "active", "instance", "", None, None, NOW)


def test_no_answer_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="no answer"):
        asyncio.run(LambdaCloud(KEY, "http://127.0.0.1:1").instances(NOW))


@pytest.mark.parametrize(
    "endpoint", ["https://evil.example", "http://cloud.lambda.ai", "https://cloud.lambda.ai.evil.example"]
)
def test_the_key_goes_nowhere_else(endpoint: str) -> None:
    with pytest.raises(UsageError, match="nowhere else") as raised:
        LambdaCloud(KEY, endpoint)
    assert "evil" not in str(raised.value)


def test_the_names_and_the_traffic_that_use_an_instance_are_told() -> None:
    machines = [Instance(f"i-{n}", "Lambda Cloud", "", "active", "k", "r", address) for n, address in enumerate(
        ("185.199.108.9", "185.199.108.10", "185.199.108.11", "2606:50c0:8000::9", None)
    )]  # fmt: skip
    rows = [
        Record("gpu", "A", "185.199.108.9"), Record("@", "A", "185.199.108.9"), Record("six", "AAAA", "2606:50C0:8000:0::9"),
        Record("@", "TXT", "v=spf1 ip4:185.199.108.11 -all"),
    ]  # fmt: skip
    found = with_uses(machines, [Zone.of("acme.example", "MX", rows)], ["185.199.108.10", "junk"])
    assert [one.used_by for one in found] == [
        ("acme.example", "gpu.acme.example"), ("traffic",), ("acme.example",), ("six.acme.example",), ()
    ]  # fmt: skip
