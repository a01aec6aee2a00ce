"""A stack target from settings: names, homes, variables, projects. Nothing is run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sophia_cli.core.errors import InvalidEnvironment, ProviderRefused, UsageError
from sophia_cli.core.settings import Pulumi, Stack
from sophia_cli.providers.pulumi.connect import Given, connect, digest_key, shared_key
from sophia_cli.providers.pulumi.process import Call, Finished
from sophia_cli.providers.pulumi.target import StackTarget
from sophia_cli.store.directory import replace_text
from tests.memory import MemoryClock

PROCESS = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/home/ada",
    "LANG": "C.UTF-8",
    "NAMECHEAP_API_KEY": "namecheap-key",
    "NAMECHEAP_API_USER": "ada",
    "OPENAI_API_KEY": "model-key",
    "PULUMI_ACCESS_TOKEN": "cloud-token",
    "PULUMI_HOME": "/home/ada/.pulumi",
    "PULUMI_CONFIG_PASSPHRASE": "from the process",
    "AWS_SECRET_ACCESS_KEY": "aws-key",
    "DEPLOY_COLOR": "blue",
}


class Seen:
    """A CLI that only remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def run(self, call: Call, on_line: Any = None) -> Finished:
        self.calls.append(call)
        return Finished(1, "", "error: no stack named 'prod' found")


def site(folder: Path, text: str = "name: shop\nruntime: python\n") -> Path:
    (folder / "infra").mkdir(exist_ok=True)
    (folder / "infra" / "Pulumi.yaml").write_text(text, encoding="utf-8")
    return folder


def target(folder: Path, settings: Pulumi, name: str = "prod", **given: Any) -> tuple[StackTarget, Seen]:
    seen = Seen()
    known = Given(folder, folder / ".sophia", {**PROCESS, **given.pop("process", {})}, **given)
    return connect(settings, Stack("prod", name), known, MemoryClock(), replace_text, cli=seen), seen


def variables(folder: Path, settings: Pulumi, **given: Any) -> dict[str, str]:
    port, seen = target(folder, settings, **given)
    asyncio.run(port.read())
    return dict(seen.calls[0].environment)


FILE = Pulumi(work_dir="infra", backend="file://./state")


def test_a_program_gets_what_it_needs_and_none_of_our_credentials(tmp_path: Path) -> None:
    found = variables(site(tmp_path), FILE, variables={"REGION": "eu", "DB_PASSWORD": SecretStr("db-secret")})
    assert found["HOME"] == "/home/ada"
    assert (found["REGION"], found["DB_PASSWORD"]) == ("eu", "db-secret")
    assert found["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/state"
    assert found["PULUMI_CONFIG_PASSPHRASE"] == "from the process"
    assert found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert found["PULUMI_HOME"] == str(tmp_path / ".sophia" / "pulumi" / "home")
    for name in ("NAMECHEAP_API_KEY", "OPENAI_API_KEY", "PULUMI_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY", "DEPLOY_COLOR"):
        assert name not in found


def test_only_what_needs_a_credential_gets_it(tmp_path: Path) -> None:
    folder = site(tmp_path)
    assert "AWS_SECRET_ACCESS_KEY" in variables(folder, replace(FILE, backend="s3://bucket"))
    assert "AWS_SECRET_ACCESS_KEY" in variables(folder, replace(FILE, secrets_provider="awskms://alias/a?region=eu"))
    assert "DEPLOY_COLOR" in variables(folder, replace(FILE, pass_variables=("DEPLOY_COLOR",)))
    cloud = Pulumi(work_dir="infra")
    assert variables(folder, cloud, organization="acme")["PULUMI_ACCESS_TOKEN"] == "cloud-token"
    named = variables(folder, cloud, organization="acme", token=SecretStr("given-token"))
    assert named["PULUMI_ACCESS_TOKEN"] == "given-token"
    own = replace(FILE, passphrase=SecretStr("from the environment file"))
    assert variables(folder, own)["PULUMI_CONFIG_PASSPHRASE"] == "from the environment file"


def test_neither_the_home_nor_the_backend_can_be_changed_from_the_environment(tmp_path: Path) -> None:
    found = variables(site(tmp_path), FILE, variables={"PULUMI_HOME": "/else", "PULUMI_BACKEND_URL": "https://else"})
    assert found["PULUMI_HOME"].startswith(str(tmp_path))
    assert found["PULUMI_BACKEND_URL"].startswith("file://")


def test_homes_and_plugins_are_shared_only_when_told(tmp_path: Path) -> None:
    folder = site(tmp_path)
    (tmp_path / "plugins").mkdir()
    shared = variables(folder, replace(FILE, plugins="plugins"))
    assert (Path(shared["PULUMI_HOME"]) / "plugins").resolve() == tmp_path / "plugins"
    assert variables(folder, replace(FILE, home="~/.pulumi"))["PULUMI_HOME"].endswith("/.pulumi")


@pytest.mark.parametrize(
    ("name", "backend", "organization", "whole"),
    [
        ("prod", "file:///srv/state", None, "organization/shop/prod"),
        ("shop/prod", "s3://bucket", "acme", "organization/shop/prod"),
        ("organization/shop/prod", "gs://bucket", None, "organization/shop/prod"),
        ("prod", None, "acme", "acme/shop/prod"),
        ("other/shop/prod", "https://pulumi.example", "acme", "other/shop/prod"),
    ],
)
def test_a_stack_is_named_in_full(
    tmp_path: Path, name: str, backend: str | None, organization: str | None, whole: str
) -> None:
    port, _ = target(site(tmp_path), Pulumi(work_dir="infra", backend=backend), name, organization=organization)
    assert port.id == f"stack:{whole}"


@pytest.mark.parametrize(
    ("name", "backend"),
    [("prod", None), ("acme/shop/prod", "file:///srv/state"), ("blog/prod", "file:///srv/state"), ("a b", "file:///s")],
)
def test_a_name_that_cannot_be_meant_is_refused(tmp_path: Path, name: str, backend: str | None) -> None:
    with pytest.raises(UsageError):
        target(site(tmp_path), Pulumi(work_dir="infra", backend=backend), name)


def test_a_backend_that_is_not_encrypted_is_refused_unless_it_is_this_machine(tmp_path: Path) -> None:
    for backend in ("http://pulumi.example", "http://127.0.0.1.example:80", "http://127.example"):
        with pytest.raises(InvalidEnvironment, match="not encrypted"):
            target(site(tmp_path), Pulumi(work_dir="infra", backend=backend), "acme/shop/prod")
    for backend in ("https://pulumi.example", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"):
        target(site(tmp_path), Pulumi(work_dir="infra", backend=backend), "acme/shop/prod")


def test_the_project_file_names_the_backend_and_where_configuration_lies(tmp_path: Path) -> None:
    text = "name: shop\nruntime: nodejs\nbackend:\n  url: file://./there\nstackConfigDir: stacks\n"
    port, seen = target(site(tmp_path, text), Pulumi(work_dir="infra"))
    (tmp_path / "infra" / "stacks").mkdir()
    (tmp_path / "infra" / "stacks" / "Pulumi.prod.yaml").write_text("config: {}\n")
    snapshot = asyncio.run(port.read())
    assert seen.calls[0].environment["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/infra/there"
    assert snapshot.raw[0]["config"] == "config: {}\n"


@pytest.mark.parametrize("text", ["runtime: python\n", "name: [\n", ""])
def test_a_project_that_cannot_be_read_is_explained(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidEnvironment) as refused:
        target(site(tmp_path, text), FILE)
    assert "Pulumi.yaml" in refused.value.message


def test_a_folder_without_a_project_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InvalidEnvironment, match=r"no Pulumi\.yaml"):
        target(tmp_path, FILE)


def test_a_missing_virtual_environment_is_named_before_a_preview_could_make_it(tmp_path: Path) -> None:
    text = "name: shop\nruntime:\n  name: python\n  options: {virtualenv: venv}\n"
    port, seen = target(site(tmp_path, text), FILE)
    asyncio.run(port.read())  # what does not run the program goes on
    asked = len(seen.calls)
    with pytest.raises(ProviderRefused, match="virtual environment is missing") as refused:
        asyncio.run(port.propose())
    assert "pulumi install" in (refused.value.hint or "")
    assert {call.args[0] for call in seen.calls[asked:]}.isdisjoint({"preview", "up", "config"})
    assert not (tmp_path / "infra" / "venv").exists()


def test_an_inline_program_becomes_a_project_that_stays_the_same(tmp_path: Path) -> None:
    settings = Pulumi(work_dir="code", program="infra.web:stack", project="web", backend="file:///srv/state")
    port, seen = target(tmp_path, settings)
    asyncio.run(port.read())
    folder = seen.calls[0].cwd
    first = (folder / "__main__.py").stat().st_mtime_ns
    assert port.id == "stack:organization/web/prod"
    assert str(tmp_path / "code") in (folder / "__main__.py").read_text()
    target(tmp_path, settings)
    assert (folder / "__main__.py").stat().st_mtime_ns == first


@pytest.mark.parametrize("program", ["web", "web:", ":stack", "web:stack()", "import os; os:x", "a/b:c"])
def test_what_is_no_function_of_a_module_is_refused(tmp_path: Path, program: str) -> None:
    with pytest.raises(InvalidEnvironment):
        target(tmp_path, Pulumi(program=program, project="web", backend="file:///srv/state"))


def test_the_key_of_a_state_is_made_once_and_private(tmp_path: Path) -> None:
    key = digest_key(tmp_path)
    assert (digest_key(tmp_path), len(key)) == (key, 32)
    assert (tmp_path / "digest.key").stat().st_mode & 0o077 == 0
    assert digest_key(tmp_path / "other") != key


def test_machines_with_the_same_passphrase_key_their_digests_alike_and_others_do_not() -> None:
    key = shared_key("correct horse", "organization/shop/prod")
    assert key is not None
    assert shared_key("correct horse", "organization/shop/prod") == key
    assert shared_key("another", "organization/shop/prod") != key
    assert shared_key("correct horse", "organization/shop/staging") != key
    assert b"correct horse" not in key
    assert shared_key("", "organization/shop/prod") is None
    assert shared_key(None, "organization/shop/prod") is None
