"""What a command loads: nothing heavy before it is needed. Looks at `sys.modules` of a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("httpx", "dns", "cryptography", "pulumi", "openai", "mcp", "grpc", "redis")
MODELS_AND_STACKS = ("openai", "pulumi", "mcp", "grpc", "redis")

_COMMAND = """
import sys
from sophia_cli.cli.app import main
code = main(sys.argv[2:])
sys.stdout.flush()
found = sorted({name.partition(".")[0] for name in sys.modules})
open(sys.argv[1], "w").write(__import__("json").dumps({"code": code, "modules": found}))
"""

ENVIRONMENT = """\
values:
  dns:
    domain: acme.example
    provider: sandbox
    records:
      api: {name: api, type: A, value: 203.0.113.7}
"""


def loaded(tmp_path: Path, *words: str, code: int = 0) -> set[str]:
    """The top-level modules that a command loads in a process of its own."""
    report = tmp_path / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, str(report), *words],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert report.exists(), done.stderr
    found = json.loads(report.read_text())
    assert found["code"] == code, done.stdout + done.stderr
    return set(found["modules"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sophia.yaml").write_text(ENVIRONMENT)
    row = {"name": "api", "type": "A", "value": "203.0.113.7", "ttl": 300, "priority": None}
    (tmp_path / "live.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "desired.jsonl").write_text(json.dumps({**row, "value": "203.0.113.8"}) + "\n")
    text = "$ORIGIN acme.example.\n$TTL 300\napi A 203.0.113.7\n"
    (tmp_path / "live.zone").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("plan", "--help"),
        ("config", "show"),
        ("config", "check"),
        ("diff", "live.jsonl", "desired.jsonl", "--origin", "acme.example"),
        ("freeze",),
        ("audit", "verify"),
    ],
    ids=" ".join,
)
def test_a_command_without_a_network_loads_nothing_heavy(words: tuple[str, ...], folder: Path) -> None:
    assert loaded(folder, *words) & set(HEAVY) == set()


def test_master_files_are_read_by_dnspython_and_by_nothing_else_that_is_heavy(folder: Path) -> None:
    words = ("diff", "live.zone", "live.zone", "--origin", "acme.example")
    assert loaded(folder, *words) & set(HEAVY) <= {"dns"}


def test_a_domain_by_dns_alone_loads_no_yaml_no_http_client_and_nothing_of_environments(tmp_path: Path) -> None:
    words = ("analyze", "example.com", "--resolver", "127.0.0.1:1")
    assert loaded(tmp_path, *words, code=1) & {"httpx", "httpx2", "ruamel", "cryptography", "rich"} == set()


def test_a_call_of_one_command_imports_the_modules_of_no_other(tmp_path: Path) -> None:
    code = "from sophia_cli.cli.app import main; main(['freeze', '--help'])"
    found = {name for name in _modules_after(f"import sys, os; sys.stdout = open(os.devnull, 'w'); {code}; "
                                             "sys.stdout = sys.__stdout__") if name.startswith("sophia_cli.cli.")}  # fmt: skip
    assert "sophia_cli.cli.freeze" in found
    assert found & {"sophia_cli.cli.analyze", "sophia_cli.cli.cert", "sophia_cli.cli.runtime"} == set()


def test_threats_of_an_environment_without_stacks_are_looked_for_without_the_engine(folder: Path) -> None:
    code = f"import os; os.chdir({str(folder)!r}); from sophia_cli.cli.app import main; main(['audit', 'threats'])"
    found = _modules_after(f"import sys, io; sys.stdout = io.StringIO(); {code}; sys.stdout = sys.__stdout__")
    assert "sophia_cli.flows.threats" in found
    assert not [name for name in found if name.startswith("sophia_cli.providers")]


def test_help_loads_no_part_of_rich_and_no_yaml(folder: Path) -> None:
    assert loaded(folder, "--help") & {"rich", "ruamel", "pydantic"} == set()


@pytest.mark.parametrize(
    "words", [("plan",), ("ask", "what changed yesterday?"), ("heal",), ("audit", "threats")], ids=" ".join
)
def test_offline_commands_load_no_model_and_no_stack_library(words: tuple[str, ...], folder: Path) -> None:
    assert loaded(folder, *words, code=2 if words == ("heal",) else 0) & set(MODELS_AND_STACKS) == set()


MODEL = """\
  ai_infrastructure:
    model: {base_url: "http://127.0.0.1:9/v1", name: any}
"""


@pytest.mark.parametrize(
    "words",
    [
        ("plan",),
        ("plan", "--ai-enhanced", "--no-ai"),
        ("ask", "what changed yesterday?"),
        ("ask", "kindly blorb", "--no-ai"),
    ],
    ids=" ".join,
)
def test_a_model_that_is_set_up_and_not_asked_is_not_loaded(words: tuple[str, ...], folder: Path) -> None:
    (folder / "sophia.yaml").write_text(ENVIRONMENT + MODEL)
    code = 3 if "kindly blorb" in words else 0
    assert loaded(folder, *words, code=code) & {"openai", "httpx2", "mcp"} == set()


def test_what_a_model_would_be_sent_is_shown_without_loading_its_library(folder: Path) -> None:
    (folder / "sophia.yaml").write_text(ENVIRONMENT + MODEL)
    assert loaded(folder, "ask", "kindly blorb", "--show-payload") & {"openai", "httpx2", "mcp"} == set()


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_imports_nothing_else_of_ours() -> None:
    ours = {name for name in _modules_after("import sophia_cli") if name.startswith("sophia_cli")}
    assert ours == {"sophia_cli"}


def test_naming_an_agent_loads_no_adapter_and_no_foreign_library() -> None:
    found = _modules_after(
        "from sophia_cli import SophiaInfrastructureOrchestrator; SophiaInfrastructureOrchestrator()"
    )
    adapters = ("providers", "store", "sandbox", "esc", "output", "cli", "flows")
    rooms = {name.split(".")[1] for name in found if name.startswith("sophia_cli.")}
    assert rooms & set(adapters) == set()
    assert {name.partition(".")[0] for name in found} & set(HEAVY) == set()


def test_the_six_agents_are_importable_from_the_package() -> None:
    import sophia_cli

    names = [name for name in sophia_cli.__all__ if name.startswith("Sophia")]
    assert len(names) == 7
    for name in names:
        assert getattr(sophia_cli, name)().name
    assert sophia_cli.SophiaInfrastructureAgent is sophia_cli.SophiaInfrastructureOrchestrator
