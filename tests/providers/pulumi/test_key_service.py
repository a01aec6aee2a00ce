"""Secrets under the key of a key service, with the real CLI: sealed, opened, refused. The service is Vault's API on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sophia_cli.core.errors import CredentialsRejected, ProviderRefused, SophiaError, Unreachable
from tests.providers.pulumi import vault
from tests.providers.pulumi.cli import needs_engine
from tests.providers.pulumi.contract import STASH, TOKEN, made
from tests.providers.pulumi.stacks import Site, holding
from tests.providers.pulumi.vault import Vault

pytestmark = needs_engine


@pytest.fixture
def service() -> Iterator[Vault]:
    with vault.serving() as served:
        yield served


@pytest.fixture
def site(service: Vault, tmp_path: Path) -> Site:
    site = Site.at(tmp_path)
    site.settings = replace(site.settings, secrets_provider="hashivault://shop", passphrase=None)
    site.process |= {"VAULT_SERVER_URL": service.url, "VAULT_SERVER_TOKEN": service.token}
    return site


def test_a_stack_whose_secrets_a_key_service_keeps_is_made_and_stands_still(
    site: Site, service: Vault, tmp_path: Path
) -> None:
    async def story() -> None:
        await made(site, STASH)
        assert (await site.target().propose()).changes == ()
        outputs = await site.target().outputs()
        assert json.loads(outputs["token"].value.get_secret_value()) == TOKEN

        def fails(kind: type[SophiaError], words: str) -> None:
            with pytest.raises(kind, match=words) as failed:
                asyncio.run(site.target().read())
            assert TOKEN not in failed.value.message
            assert service.token not in failed.value.message

        service.token = "another"
        await asyncio.to_thread(fails, CredentialsRejected, "refuses the key of the stack's secrets")
        site.process["VAULT_SERVER_URL"] = "http://127.0.0.1:1"
        await asyncio.to_thread(fails, Unreachable, "did not answer")
        del site.process["VAULT_SERVER_URL"]
        await asyncio.to_thread(fails, ProviderRefused, "cannot be used")

    asyncio.run(story())
    assert {"encrypt", "decrypt"} == set(service.log)
    assert "secretsprovider: hashivault://shop" in site.file.read_text()
    assert holding(tmp_path, TOKEN) == []
