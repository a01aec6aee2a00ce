"""A stack in Pulumi Cloud, spoken to by the real CLI: its whole life over a server on loopback, and what refuses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.errors import CredentialsMissing, CredentialsRejected, Locked, Unreachable
from tests.providers.pulumi import cloud
from tests.providers.pulumi.cli import needs_engine
from tests.providers.pulumi.cloud import Cloud
from tests.providers.pulumi.contract import STASH, TOKEN, actions, made
from tests.providers.pulumi.stacks import Site, holding

pytestmark = needs_engine
NAME = "acme/shop/prod"


@pytest.fixture
def service() -> Iterator[Cloud]:
    with cloud.serving() as served:
        yield served


@pytest.fixture
def site(service: Cloud, tmp_path: Path) -> Site:
    """A site whose stacks and secrets Pulumi Cloud keeps."""
    site = Site.at(tmp_path)
    site.settings = replace(site.settings, backend=service.url, passphrase=None)
    site.process |= {"PULUMI_ACCESS_TOKEN": cloud.TOKEN, "PULUMI_ORGANIZATION": cloud.ORGANIZATION}
    return site


def test_a_stack_is_planned_made_healed_and_its_conflict_explained(site: Site, service: Cloud, tmp_path: Path) -> None:
    async def story() -> None:
        site.list(STASH, site.a_file("page", "one"))
        target = site.target()
        part = await target.propose()
        assert actions(part) == {"shop:token": "create", "stack": "create", "tok": "create", "page": "create"}
        assert service.stacks == {}  # a stack that is not there is previewed without being made
        await target.write(part.changes, part.snapshot)
        assert (await site.target().propose()).changes == ()

        outputs = await target.outputs()
        assert outputs["token"].value.get_secret_value() == json.dumps(TOKEN)
        assert [(one.kind, one.result) for one in await target.history()] == [("update", "succeeded")]

        site.tamper("page", "behind the engine's back")
        drifted = await site.target().propose_restore()
        assert actions(drifted) == {"page": "update"}
        await site.target().write(drifted.changes, drifted.snapshot)
        assert (site.root / "page").read_text() == "one"

        site.list(STASH, site.a_file("page", "two"))
        part = await target.propose()
        service.hold(NAME, "grace")
        with pytest.raises(Locked, match=r"another update holds .* by grace, started .* ago") as locked:
            await target.write(part.changes, part.snapshot)
        assert f"pulumi cancel -s {NAME}" in (locked.value.hint or "")
        assert (service.stacks[NAME].holder or {})["author"] == "grace"
        assert (site.root / "page").read_text() == "one"

    asyncio.run(story())
    assert service.stacks[NAME].holder is not None
    seen = [body for call, body in zip(service.log, service.bodies, strict=True) if "/update/" in call]
    assert seen
    assert not [body for body in seen if TOKEN.encode() in body]
    assert holding(tmp_path, TOKEN) == holding(tmp_path, cloud.TOKEN) == []


def test_a_login_that_is_missing_refused_or_unanswered_is_explained(site: Site, service: Cloud) -> None:
    async def looked() -> None:
        await site.target().read()

    service.tokens.clear()
    with pytest.raises(CredentialsRejected, match="does not accept the login") as rejected:
        asyncio.run(looked())
    assert cloud.TOKEN not in rejected.value.message + str(rejected.value.hint)
    site.process["PULUMI_ACCESS_TOKEN"] = ""
    with pytest.raises(CredentialsMissing, match=f"nobody is logged in to the stack's backend: {service.url}"):
        asyncio.run(looked())
    site.process["PULUMI_ACCESS_TOKEN"] = cloud.TOKEN
    site.settings = replace(site.settings, backend="http://127.0.0.1:1")
    with pytest.raises(Unreachable, match="did not answer"):
        asyncio.run(looked())


def test_an_update_killed_in_the_middle_frees_the_stack_it_held(site: Site, service: Cloud) -> None:
    async def story() -> None:
        await made(site)
        site.list({"kind": "slow", "name": "slow", "path": site.path("slow"), "seconds": 60})
        target = site.target()
        part = await target.propose()
        task = asyncio.create_task(target.write(part.changes, part.snapshot))
        async with asyncio.timeout(60):
            while not (site.root / "slow").exists():
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert service.stacks[NAME].holder is None
        assert [one.split()[0] for one in (await target.read()).content.pending] == ["creating"]

    site.grace_s = 0.5
    asyncio.run(story())
