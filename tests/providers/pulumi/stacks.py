"""A stack of the tests' own program in a folder of its own, with a file backend and a passphrase."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sophia_cli.core.settings import Pulumi, Stack
from sophia_cli.providers.pulumi.connect import Given, connect
from sophia_cli.providers.pulumi.engine import Progress, TimeLimits
from sophia_cli.providers.pulumi.process import Cli, PulumiCli, found_cli
from sophia_cli.providers.pulumi.target import StackTarget
from sophia_cli.store.directory import replace_text
from tests.memory import MemoryClock
from tests.providers.pulumi.contract import TOKEN

PROGRAM = Path(__file__).parent / "program"
PASSPHRASE = "passphrase-of-the-tests"
STACK = "organization/shop/prod"


@dataclass
class Site:
    """One project folder with its backend and sophia's state. `config` is what the environment wants of the stack."""

    root: Path
    settings: Pulumi = field(default_factory=lambda: Pulumi(work_dir="program", passphrase=SecretStr(PASSPHRASE)))
    config: dict[str, Any] = field(default_factory=lambda: {"token": SecretStr(TOKEN)})
    variables: dict[str, Any] = field(default_factory=dict)
    process: dict[str, str] = field(default_factory=dict)
    cli: Cli | None = None
    grace_s: float | None = None

    @classmethod
    def at(cls, root: Path, cli: Cli | None = None) -> Site:
        shutil.copytree(PROGRAM, root / "program", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "backend").mkdir()
        site = cls(root, cli=cli)
        site.settings = replace(site.settings, backend=f"file://{root / 'backend'}")
        site.list()
        return site

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def file(self) -> Path:
        return self.root / "program" / "Pulumi.prod.yaml"

    def path(self, name: str) -> str:
        """Where a file resource of that name lies."""
        return str(self.root / name)

    def list(self, *resources: Mapping[str, Any]) -> None:
        """Rewrite the program: these are its resources now."""
        text = json.dumps([dict(one) for one in resources])
        (self.root / "program" / "resources.json").write_text(text, encoding="utf-8")

    def tamper(self, name: str, text: str) -> None:
        """Change a file resource behind the engine's back."""
        (self.root / name).write_text(text, encoding="utf-8")

    def a_file(self, name: str, text: str, **more: Any) -> dict[str, Any]:
        return {"kind": "file", "name": name, "path": self.path(more.pop("path", name)), "text": text, **more}

    def target(self, on_step: Progress | None = None, limits: TimeLimits | None = None) -> StackTarget:
        process = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "NAMECHEAP_API_KEY": "namecheap-key-of-the-tests",
            "PULUMI_ACCESS_TOKEN": "cloud-token-of-the-tests",
            **({"SOPHIA_PULUMI": os.environ["SOPHIA_PULUMI"]} if "SOPHIA_PULUMI" in os.environ else {}),
            **self.process,
        }
        cli = self.cli
        if self.grace_s is not None:
            cli = PulumiCli(found_cli(process) or "pulumi", self.state / "pulumi" / "tmp", None, self.grace_s)
        given = Given(self.root, self.state, process, self.config, self.variables)
        stack = Stack("prod", "prod")
        clock = MemoryClock()
        return connect(self.settings, stack, given, clock, replace_text, on_step=on_step, limits=limits, cli=cli)


def holding(root: Path, text: str) -> list[str]:
    """The files below a folder that hold a text in the clear."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return [str(path.relative_to(root)) for path in paths if text.encode() in path.read_bytes()]
