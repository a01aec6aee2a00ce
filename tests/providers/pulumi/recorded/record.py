"""Records the contract of the stack port against the CLI in SOPHIA_PULUMI: python -m tests.providers.pulumi.recorded.record."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from sophia_cli.providers.pulumi.process import PulumiCli, found_cli
from tests.providers.pulumi.contract import SCENARIOS
from tests.providers.pulumi.recording import RECORDED, Recorder
from tests.providers.pulumi.stacks import Site


async def record(names: list[str]) -> None:
    path = found_cli(os.environ)
    assert path is not None, "no pulumi CLI on PATH or in SOPHIA_PULUMI"
    for name in names or SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            recorder = Recorder(PulumiCli(path, root / "state" / "pulumi" / "tmp", root / "logs"), root)
            await SCENARIOS[name](Site.at(root, recorder))
            recorder.save(RECORDED / f"{name}.jsonl")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
