"""Writes the pages that the program itself knows: commands, catalogue, the README's output and its terminal picture.

`make docs` runs it. Everything it shows comes from real commands on the embedded sandbox, with run ids, times and digests
replaced by fixed ones, so that the same code gives the same bytes. `pages()` is what tests compare with the files.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
README = ROOT / "README.md"
WIDTH = 100

DOMAIN = "acme.example"
ZONE = (
    ("@", "A", "203.0.113.10", 1800, 10),
    ("www", "CNAME", "acme.example.", 1800, 10),
    ("api", "A", "203.0.113.10", 1800, 10),
    ("@", "MX", "mail.acme.example.", 1800, 10),
    ("mail", "A", "203.0.113.20", 1800, 10),
    ("@", "TXT", "v=spf1 mx ~all", 1800, 10),
    ("shop", "CNAME", "shops.hosted.example.", 1800, 10),
)
ENVIRONMENT = """\
values:
  dns:
    provider: sandbox
    domain: acme.example
    email_type: MX
    records:
      root: {name: "@", type: A, value: 203.0.113.10}
      www: {name: www, type: CNAME, value: acme.example.}
      api: {name: api, type: A, value: 203.0.113.10}
      mail: {name: mail, type: A, value: 203.0.113.20}
      exchanger: {name: "@", type: MX, value: mail.acme.example., priority: 10}
      spf: {name: "@", type: TXT, value: "v=spf1 mx ~all"}
  ai_infrastructure:
    autonomy: autonomous-safe
"""
CHANGES = (
    ("api, type: A, value: 203.0.113.10", "api, type: A, value: 203.0.113.11"),
    ("      mail:", "      staging: {name: staging, type: A, value: 203.0.113.12}\n      mail:"),
)

RUN_ID = "20261122T154300123-9f3a"
_MASKS = (
    (r"\d{8}T\d{9}-[0-9a-f]{4}", RUN_ID),
    (r"sha256:[0-9a-f]{64}", "sha256:" + "5d41402abc4b2a76b9719d911017c592" * 2),
    (r"sha256:[0-9a-f]{12}\b", "sha256:5d41402abc4b"),
    (r"calls, \d+\.\d s", "calls, 0.2 s"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-11-22T15:43:00Z"),
)
_SGR = re.compile(r"\x1b\[[0-9;]*m")


# -- the story: real commands on the sandbox --------------------------------------------------------------------------


@cache
def story() -> Mapping[str, str]:
    """The output of each act, coloured, as a terminal would show it (stdout and stderr together)."""
    from sophia_cli.sandbox import running, seed

    acts: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="sophia-docs-") as name:
        folder = Path(name)
        file, data = folder / "sophia.yaml", folder / ".sophia" / "sandbox" / "account.json"
        data.parent.mkdir(parents=True, mode=0o700)
        seed(data, DOMAIN, email_type="MX", rows=ZONE)
        file.write_text(ENVIRONMENT)
        _sophia(folder, "deploy", "--yes")  # the zone is as wanted: from here on its records are the environment's
        acts["analyze"] = _sophia(folder, "analyze")
        text = file.read_text()
        for old, new in CHANGES:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
        acts["plan"] = _sophia(folder, "plan")
        acts["deploy"] = _sophia(folder, "deploy", "--yes")
        with running(data) as sandbox:
            moved = {"name": "api", "type": "A", "address": "198.51.100.66"}
            sandbox.edit(DOMAIN, add=[moved], remove=[{"name": "api", "type": "A", "address": "203.0.113.11"}])
        acts["heal"] = _sophia(folder, "heal")
        acts["ask"] = _sophia(folder, "ask", "Create a development subdomain for the new dashboard feature")
        acts["rollback"] = _sophia(folder, "rollback", "--yes")
        acts["audit"] = _sophia(folder, "audit", "verify")
    return acts


def _sophia(folder: Path, *words: str) -> str:
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC"}
    environment |= {"CLICOLOR_FORCE": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT)}
    environment |= {"SOPHIA_ENV": "sophia.yaml"}  # found by itself as well; named, it is shown as short as it was typed
    done = subprocess.run(
        [sys.executable, "-m", "sophia_cli", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"sophia {' '.join(words)}: exit {done.returncode}\n{done.stdout}")
    typed = " ".join(f'"{word}"' if " " in word else word for word in words)
    return f"$ sophia {typed}\n{masked(done.stdout)}"


def masked(text: str) -> str:
    """The text with everything that differs from run to run replaced by something fixed."""
    for pattern, fixed in _MASKS:
        text = re.sub(pattern, fixed, text)
    return text


# -- pages ------------------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Every generated file with the text it should have."""
    found = {
        DOCS / "commands.md": commands_markdown(),
        DOCS / "pictures" / "sophia.svg": picture(),
        README: filled(README.read_text(encoding="utf-8")),
    }
    catalogue = catalogue_page()
    if catalogue is not None:
        found[DOCS / "catalogue.md"] = catalogue
    return found


def catalogue_page() -> str | None:
    """The check catalogue, from the registry; None where there is none."""
    try:
        from sophia_cli.checks.registry import catalogue_markdown
    except ImportError:
        return None
    return catalogue_markdown()


def filled(text: str) -> str:
    """A page with the blocks between `<!-- output: ACT -->` and `<!-- end -->` replaced by what the act prints."""

    def block(match: re.Match[str]) -> str:
        name, _, limit = match.group(1).partition(" ")
        lines = _SGR.sub("", story()[name]).rstrip().splitlines()
        if limit:
            lines = [*lines[: int(limit)], "..."]
        return f"<!-- output: {match.group(1)} -->\n```console\n" + "\n".join(lines) + "\n```\n<!-- end -->"

    return re.sub(r"<!-- output: ([\w ]+) -->.*?<!-- end -->", block, text, flags=re.DOTALL)


def picture() -> str:
    """The terminal picture of the README: plan, deploy, and heal after somebody changed the zone, as SVG."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    acts = story()
    said = "\x1b[2m# somebody points api elsewhere in the web console; cron runs\x1b[0m"
    parts = [acts["plan"], acts["deploy"], f"{said}\n{acts['heal']}"]
    prompts = (re.sub(r"^\$ (.*)$", "\x1b[2m$\x1b[0m \x1b[1m\\1\x1b[0m", part, flags=re.MULTILINE) for part in parts)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text.from_ansi("\n".join(prompts).rstrip()), soft_wrap=False)
    # No font is fetched from elsewhere: a picture that phones home is no picture for a README.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, monospace")
    return _unpadded(console.export_svg(title="sophia", code_format=form, unique_id="sophia")) + "\n"


_TEXT = re.compile(
    r'(<text class="[^"]+" x=")([\d.]+)(" y="[\d.]+" textLength=")([\d.]+)("[^>]*>)((?:&#160;)+)(?=[^<&])'
)
_CHARACTER = 12.2  # rich's width of one character in its SVG


def _unpadded(svg: str) -> str:
    """The picture with leading spaces as positions: some renderers drop them (librsvg does)."""

    def moved(match: re.Match[str]) -> str:
        shift = match.group(6).count("&") * _CHARACTER
        x, length = float(match.group(2)) + shift, float(match.group(4)) - shift
        return f"{match.group(1)}{x:g}{match.group(3)}{length:g}{match.group(5)}"

    return _TEXT.sub(moved, svg)


# -- the command reference --------------------------------------------------------------------------------------------


def commands_markdown() -> str:
    """The page `docs/commands.md`: every command with its arguments and options, read from the Typer app."""
    import typer

    from sophia_cli.cli.app import application

    root: Any = typer.main.get_command(application())
    everything = list(_commands(root, "sophia"))
    shared = _shared_names()
    lines = [
        "# Commands",
        "",
        "<!-- generated by docs/generate.py from the command line itself; do not edit (make docs) -->",
        "",
        str(root.help),
        "Exit codes are listed in [security.md](security.md#exit-codes); `sophia COMMAND --help` says the same as this page.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    lines += [f"| [`{name}`](#{_anchor(name)}) | {_cell(_first_line(command))} |" for name, command in everything]
    lines += ["", "## Shared options", "", "Every command takes these.", ""]
    lines += _table([param for param in everything[0][1].params if param.name in shared])
    for name, command in everything:
        own = [param for param in command.params if param.name not in shared and param.name != "help"]
        lines += ["", f"## {name}", "", f"    {_usage(name, own)}", "", str(command.help)]
        if own:
            lines += ["", *_table(own)]
    return "\n".join(lines) + "\n"


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(None):
        command = group.commands[name]
        if hasattr(command, "list_commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _shared_names() -> set[str]:
    from sophia_cli.cli.options import Common

    return {field.name for field in fields(Common)}


def _usage(name: str, own: list[Any]) -> str:
    """The way to type a command; shared options are left out."""
    words = [name]
    if any(not _is_argument(param) for param in own):
        words.append("[OPTIONS]")
    for param in own:
        if _is_argument(param):
            shown = (param.metavar or param.name.upper()).strip("[]")
            words.append(shown if param.required else f"[{shown}]")
    return " ".join(words)


def _table(params: list[Any]) -> list[str]:
    lines = ["| option | meaning |", "|---|---|"]
    for param in params:
        if _is_argument(param):
            shown = f"`{(param.metavar or param.name.upper()).strip('[]')}`"
        else:
            names = [*sorted(param.opts, key=len), *param.secondary_opts]
            value = "" if param.is_flag else f" {_metavar(param)}"
            shown = ", ".join(f"`{option}{value if option.startswith('--') else ''}`" for option in names)
        lines.append(f"| {_cell(shown)} | {_cell(param.help or '')}{_cell(_remarks(param))} |")
    return lines


def _metavar(param: Any) -> str:
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return str(param.metavar or param.name.upper())


def _remarks(param: Any) -> str:
    said = []
    variable = getattr(param, "envvar", None)
    if variable:
        said.append(f"`{variable}` in the environment is the same.")
    default = param.default
    if default not in (None, False, "", ()) and not callable(default) and not param.required:
        said.append(f"Default: `{getattr(default, 'value', default)}`.")
    return "".join(f" {one}" for one in said)


def _is_argument(param: Any) -> bool:
    return str(param.param_type_name) == "argument"


def _first_line(command: Any) -> str:
    return str(command.help or "").strip().partition("\n")[0]


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write what differs, and say so."""
    for path, text in pages().items():
        old = path.read_text(encoding="utf-8") if path.exists() else None
        if old != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
