"""What importing the environment room costs: no network library, no cryptography."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_environment_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, sophia_cli.esc.load, sophia_cli.esc.settings, sophia_cli.esc.edit, sophia_cli.esc.cloud;"
        "print([name for name in ('httpx', 'dns', 'cryptography', 'pulumi', 'openai', 'rich') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
