"""Which environment a command means, and its evaluation: a local ESC file, or one of Pulumi Cloud."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.options import Common
from sophia_cli.core.errors import CredentialsMissing

if TYPE_CHECKING:
    from sophia_cli.core.settings import Settings
    from sophia_cli.esc.cloud import Address
    from sophia_cli.esc.environment import Environment
    from sophia_cli.esc.evaluate import Context


async def load_settings(common: Common) -> tuple[Environment, Settings]:
    """The environment and its typed form. Raises `InvalidEnvironment` with every diagnostic."""
    from sophia_cli.esc.settings import settings

    environment = await load_environment(common)
    return environment, settings(environment)


async def load_environment(common: Common, *, opened: bool = True) -> Environment:
    """The evaluated environment, right or wrong (see `Environment.require`). `opened` False asks no provider."""
    where = cloud_address(common.env)
    if where is not None:
        return await _from_cloud(where, common.set or ())
    from sophia_cli.esc.load import load

    path = environment_path(common)
    search = [Path(part) for part in os.environ.get("SOPHIA_ESC_PATH", "").split(os.pathsep) if part]
    return load(
        path,
        variables=dict(os.environ),
        context=_context(common),
        overrides=tuple(common.set or ()),
        search_path=search,
        opened=opened,
        cloud=await _imported(path, search),
    )


def environment_path(common: Common) -> Path:
    """The local environment file a command means. Raises `InvalidEnvironment` when there is none."""
    from sophia_cli.esc.locate import find

    return Path(common.env) if common.env is not None else find(Path.cwd())


def cloud_address(env: str | None) -> Address | None:
    """The cloud environment that `-e` names, or None when it names a file."""
    if env is None or env.count("/") != 2 or env.startswith((".", "/")) or Path(env).exists():
        return None
    from sophia_cli.esc.cloud import address

    return None if env.endswith((".yaml", ".yml")) else address(env)


def _context(common: Common) -> Context:
    from sophia_cli.esc.evaluate import Context

    return Context(
        stack=common.stack or os.environ.get("PULUMI_STACK") or None,
        project=os.environ.get("PULUMI_PROJECT") or None,
        organization=os.environ.get("PULUMI_ORGANIZATION") or None,
    )


async def _from_cloud(where: Address, overrides: Sequence[str]) -> Environment:
    """An environment opened by the service, which alone can decrypt it and ask its providers."""
    from sophia_cli.esc.cloud import Cloud, credentials, overlaid
    from sophia_cli.esc.overrides import override

    account = credentials(os.environ, Path.home())
    if account is None:
        raise CredentialsMissing(
            f"{where} is an environment of Pulumi Cloud, and there is no token",
            hint="set PULUMI_ACCESS_TOKEN, or run: pulumi login",
        )
    laid = [override(text, number) for number, text in enumerate(overrides, 1)]
    async with Cloud(account) as cloud:
        if not laid:
            return await cloud.open(where)
        return await cloud.open_text(where.organization, overlaid(where, laid), name=str(where))


async def _imported(path: Path, search: Sequence[Path]) -> dict[str, str]:
    """The imports of a local file that are not on disk, from the cloud, when a token and an organization are known."""
    from sophia_cli.esc.load import unresolved

    organization = os.environ.get("PULUMI_ORGANIZATION")
    if organization is None or not unresolved(path, search_path=search):
        return {}
    from sophia_cli.esc.cloud import Cloud, credentials, imported

    account = credentials(os.environ, Path.home())
    if account is None:
        return {}
    async with Cloud(account) as cloud:
        return await imported(path, cloud, organization, search_path=search)
