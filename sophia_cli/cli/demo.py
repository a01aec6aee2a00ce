"""`sophia demo`: the whole story on the embedded sandbox, told with the product's own commands."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sophia_cli.cli.options import Common, Output, command
from sophia_cli.cli.printing import only, result

if TYPE_CHECKING:
    from sophia_cli.sandbox import Sandbox

DOMAIN = "acme.example"

# A zone as somebody keeps it in the web console: an address, mail elsewhere, and what mail needs.
ZONE = (
    ("@", "A", "203.0.113.10", 1800, 10),
    ("www", "CNAME", "acme.example.", 1800, 10),
    ("api", "A", "203.0.113.10", 1800, 10),
    ("blog", "CNAME", "acme.example.", 1800, 10),
    ("status", "A", "203.0.113.30", 1800, 10),
    ("@", "MX", "mail.acme.example.", 1800, 10),
    ("mail", "A", "203.0.113.20", 1800, 10),
    ("@", "TXT", "v=spf1 mx -all", 1800, 10),
)

ENVIRONMENT = """\
# The environment of the demo: an ordinary ESC file. Only the endpoint tells that the provider is a sandbox.
values:
  namecheap:
    api_user: {{fn::secret: {api_user}}}
    api_key: {{fn::secret: {api_key}}}
    username: {{fn::secret: {username}}}
    endpoint: {endpoint}
  ai_infrastructure:
    autonomy: autonomous-safe
    limits: {{approvals: [terminal, unattended]}}
"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "demo")
    def demo(common: Common) -> int:
        """Tell the whole story on the embedded sandbox, in under a minute. Needs no account and leaves nothing behind."""
        only(common, Output.text)
        return _demo()


def _demo() -> int:
    from sophia_cli.sandbox import running, seed

    with tempfile.TemporaryDirectory(prefix="sophia-demo-") as folder, _inside(Path(folder)):
        data = Path("namecheap.json")
        seed(data, DOMAIN, email_type="MX", rows=ZONE)
        with running(data) as sandbox:
            return _Story(sandbox).tell()


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in a folder, with none of the user's own settings."""
    before = Path.cwd()
    hidden = {
        name: os.environ.pop(name) for name in ("SOPHIA_ENV", "SOPHIA_STATE", "PULUMI_STACK") if name in os.environ
    }
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.update(hidden)


class _Story:
    """The acts of the demo; each is a command as a person would type it, or something done behind sophia's back."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def tell(self) -> int:
        """All acts; 1 when one of them did not end as it should."""
        self._say("sophia demo: a Namecheap account on this machine (real HTTP, real DNS), and nothing else.")
        Path("acme.yaml").write_text(
            ENVIRONMENT.format(
                api_user=self._sandbox.api_user,
                api_key=self._sandbox.api_key,
                username=self._sandbox.username,
                endpoint=self._sandbox.endpoint,
            )
        )
        acts = (
            self._adopt,
            self._analyze,
            self._plan,
            self._deploy,
            self._heal,
            self._ask,
            self._rollback,
            self._audit,
        )
        for number, act in enumerate(acts, 1):
            self._say(f"\n{number}. {(act.__doc__ or '').strip()}")
            if not act():
                self._say("The demo stopped here: that was not the end it should have had.")
                return 1
        self._say("\nThat is the whole story. Your own: sophia import DOMAIN, then sophia plan.")
        return 0

    def _adopt(self) -> bool:
        """Adopt a zone that was kept by hand: its records become the environment's dns section."""
        if not self._run("import", DOMAIN, "--yes", "-q") or not self._run("plan", "-q"):
            return False
        # Whom to ask about the zone: here the sandbox's own name server.
        text = (
            Path("acme.yaml").read_text().replace("  dns:\n", f'  dns:\n    nameservers: ["{self._sandbox.dns}"]\n', 1)
        )
        Path("acme.yaml").write_text(text)
        return True

    def _analyze(self) -> bool:
        """What the specialists see."""
        return self._run("analyze")

    def _plan(self) -> bool:
        """A change of mind in the file, and the plan it makes: api moves, and the apex too, which is critical."""
        path = Path("acme.yaml")
        moved = path.read_text().replace("name: api, value: 203.0.113.10", "name: api, value: 203.0.113.11")
        path.write_text(moved.replace('name: "@", value: 203.0.113.10', 'name: "@", value: 203.0.113.11'))
        return self._run("plan", "--out", "plan.json")

    def _deploy(self) -> bool:
        """Without consent nothing happens; an approval is bound to exactly this plan; then it is applied and verified."""
        return (
            self._run("deploy", "plan.json", "--no-input", code=3)
            and self._run("approve", "plan.json", "--confirm", DOMAIN, "--by", "demo", "-q")
            and self._run("deploy", "plan.json")
        )

    def _heal(self) -> bool:
        """Somebody changes the zone behind our back; heal finds it and, as this autonomy allows, puts it back."""
        self._sandbox.edit(
            DOMAIN,
            add=[{"name": "api", "type": "A", "address": "198.51.100.66"}],
            remove=[{"name": "api", "type": "A", "address": "203.0.113.11"}],
        )
        self._say("   (in the web console: api now points at 198.51.100.66)")
        return self._run("heal") and self._run("heal")

    def _ask(self) -> bool:
        """Plain language, without any model: a reading, the equal command, a plan behind the same gate."""
        return (
            self._run("ask", "don't delete the mx records")
            and self._run("ask", "Create a development subdomain for the new dashboard feature", "--yes")
            and self._run("ask", "what changed yesterday?")
        )

    def _rollback(self) -> bool:
        """The last run is undone, in the zone and in the file."""
        return self._run("rollback", "--yes") and self._run("plan", "--detailed-exitcode")

    def _audit(self) -> bool:
        """Every step is one line of a chain that shows when it is touched."""
        return self._run("audit", "verify")

    def _run(self, *words: str, code: int = 0) -> bool:
        """Run one of sophia's commands, as typed, and check how it ends."""
        from sophia_cli.cli.app import main

        typed = " ".join(f'"{word}"' if " " in word else word for word in words)
        self._say(f"\n$ sophia {typed}")
        sys.stdout.flush()
        ended = main([*words, *_ENV])
        sys.stderr.flush()
        if ended != code:
            self._say(f"   (exit {ended})")
        return ended == code

    @staticmethod
    def _say(text: str) -> None:
        result(text + "\n")


_ENV = ("-e", "acme.yaml")
