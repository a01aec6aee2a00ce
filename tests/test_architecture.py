"""The rules of the house, held by reading the code: who may import whom, and what stands where."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sophia_cli"

pytestmark = pytest.mark.xdist_group("architecture")  # the code is read once

# cli -> flows -> agents -> checks -> core; flows -> reasoning -> core; every adapter room -> core and no other.
MAY_IMPORT = {
    "core": set(),
    "checks": {"core"},
    "agents": {"checks", "core"},
    "reasoning": {"core"},
    "flows": {"agents", "checks", "reasoning", "core"},
    "providers": {"core"},
    "store": {"core"},
    "sandbox": {"core"},
    "esc": {"core"},
    "output": {"core"},
    "cli": {
        "flows",
        "agents",
        "checks",
        "reasoning",
        "core",
        "providers",
        "store",
        "sandbox",
        "esc",
        "output",
        "",
    },
    "": {"cli", "agents"},
}
ADAPTERS = {"providers", "store", "sandbox", "esc", "output"}

# Rooms whose values and functions need nothing but the standard library and pydantic.
PURE = {"core", "checks", "agents", "reasoning", "flows"}

# Rooms that may look at files, the clock and the process environment.
OUTSIDE = {"cli", "providers", "store", "esc", "sandbox"}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}

# What stands against a rule for a good reason. A new line here wants its reason.
MODULE_LEVEL_ADAPTERS = {
    (
        "cli.asking",
        "output.foreign",
    ): "prompts escape foreign text; the module is stdlib only, and asking is loaded late",
}
READS_FILES = {
    "reasoning.vocabulary": "its own package data, by importlib.resources: a constant kept as JSON",
}
CATCHES_EXCEPTION = {
    "cli.app": "main() is the one border where a defect becomes a message and an exit code",
}
PRINTS_NOTHING_BUT = {"cli"}


@dataclass(frozen=True)
class Module:
    """One module of the package, parsed. `name` is relative to the package: `core.plan`."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0] if self.path.parent != PACKAGE else ""


@dataclass(frozen=True)
class Import:
    """One import: of what, and whether it happens when the module is loaded."""

    module: Module
    target: str
    names: tuple[str, ...]
    line: int
    at_load: bool

    @property
    def room(self) -> str | None:
        """The room of ours that is imported; None for anything foreign."""
        if self.target.partition(".")[0] != "sophia_cli":
            return None
        return self.target.partition(".")[2].partition(".")[0]

    def __str__(self) -> str:
        return f"{self.module.path.relative_to(ROOT)}:{self.line} imports {self.target}"


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return tuple(found)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for module in modules() for one in _imports(module))


def _imports(module: Module) -> Iterator[Import]:
    late = {id(node) for top in ast.walk(module.tree) if _is_late(top) for node in ast.walk(top)}
    for node in ast.walk(module.tree):
        at_load = id(node) not in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, (), node.lineno, at_load)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.path}:{node.lineno}: imports are absolute"
            names = tuple(alias.name for alias in node.names)
            target = node.module or ""
            if target == "sophia_cli":  # `from sophia_cli import core` is an import of the room
                for name in names:
                    is_room = (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()
                    yield Import(module, f"sophia_cli.{name}" if is_room else target, names, node.lineno, at_load)
            else:
                yield Import(module, target, names, node.lineno, at_load)


def _is_late(node: ast.AST) -> bool:
    """A function's body, and what stands under `if TYPE_CHECKING:`."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return True
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_every_room_is_known_to_the_rules() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert rooms == set(MAY_IMPORT) - {""}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT), ids=lambda room: room or "package")
def test_a_room_imports_only_what_stands_below_it(room: str) -> None:
    wrong = [
        str(one)
        for one in imports()
        if one.module.room == room and one.room is not None and one.room not in MAY_IMPORT[room] | {room}
    ]
    assert wrong == []


def test_the_pure_rooms_know_the_standard_library_and_pydantic_only() -> None:
    allowed = {*sys.stdlib_module_names, "pydantic", "sophia_cli"}
    wrong = [str(one) for one in imports() if one.module.room in PURE and one.target.partition(".")[0] not in allowed]
    assert wrong == []


def test_the_command_line_loads_nothing_heavy_before_a_command_runs() -> None:
    wrong = []
    for one in imports():
        if one.module.room != "cli" or not one.at_load:
            continue
        allowed = {"cli", "core", ""} | (
            {"flows"} if one.module.name in {"cli.runtime", "cli.session", "cli.state"} else set()
        )
        if one.room is None:
            if one.target.partition(".")[0] not in {*sys.stdlib_module_names, "typer"}:
                wrong.append(str(one))
        elif one.room not in allowed:
            known = (one.module.name, one.target.removeprefix("sophia_cli."))
            if known not in MODULE_LEVEL_ADAPTERS:
                wrong.append(str(one))
    assert wrong == []


def test_ports_are_wired_to_state_and_provider_clients_where_a_command_is_composed() -> None:
    wired = {"sophia_cli.store", "sophia_cli.providers.namecheap", "sophia_cli.providers.nameservers"}
    wrong = [
        str(one)
        for one in imports()
        if one.module.room == "cli"
        and one.module.name not in {"cli.runtime", "cli.session", "cli.state", "cli.stacks"}
        and any(one.target == start or one.target.startswith(start + ".") for start in wired)
    ]
    assert wrong == []


def test_agents_checks_and_reasoning_hold_read_ports_only() -> None:
    wrong = [
        f"{one}: {', '.join(one.names)}"
        for one in imports()
        if one.module.room in {"agents", "checks", "reasoning"}
        and one.target == "sophia_cli.core.ports"
        and not set(one.names) <= {"ReadPort"}
    ]
    assert wrong == []


def test_no_rule_has_an_exception_that_is_not_needed_any_more() -> None:
    used = {(one.module.name, one.target.removeprefix("sophia_cli.")) for one in imports() if one.at_load}
    assert set(MODULE_LEVEL_ADAPTERS) <= used
    names = {module.name for module in modules()}
    assert {*READS_FILES, *CATCHES_EXCEPTION} <= names


# -- what stands in a module ------------------------------------------------------------------------------------------


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert [module.name for module in modules() if set(module.name.split(".")) & FORBIDDEN_NAMES] == []


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    wrong = []
    for module in modules():
        text = ast.get_docstring(module.tree) or ""
        first = text.partition("\n")[0]
        if not re.fullmatch(r"\S.{10,}\.", first) or len(first) > 130:
            wrong.append(f"{module.name}: {first or 'no docstring'}")
    assert wrong == []


_CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.monotonic"}
_ENVIRONMENT = {"os.environ", "os.getenv"}
_FILES = {"open", "read_text", "write_text", "read_bytes", "write_bytes"}
_CHANCE = {"random", "secrets", "uuid"}


def test_the_inner_rooms_look_at_no_file_clock_environment_or_chance() -> None:
    wrong = []
    for module in modules():
        if module.room in OUTSIDE or module.room == "":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in _CLOCKS | _ENVIRONMENT:
                wrong.append(f"{module.name}:{node.lineno}: {ast.unparse(node)}")
            if isinstance(node, ast.Call) and _called(node) in _FILES and module.name not in READS_FILES:
                wrong.append(f"{module.name}:{node.lineno}: {ast.unparse(node)}")
        chance = [one for one in imports() if one.module == module and one.target in _CHANCE]
        wrong += [str(one) for one in chance]
    assert wrong == []


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) and node.func.attr != "open" else ""


def test_only_the_command_line_prints() -> None:
    wrong = []
    for module in modules():
        if module.room in PRINTS_NOTHING_BUT:
            continue
        for node in ast.walk(module.tree):
            prints = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            streams = isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr")
            if prints or streams:
                wrong.append(f"{module.name}:{node.lineno}")  # type: ignore[attr-defined]
    assert wrong == []


def test_any_exception_is_caught_only_at_the_known_borders_or_to_clean_up() -> None:
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = "" if node.type is None else ast.unparse(node.type)
            if caught not in ("", "Exception", "BaseException"):
                continue
            cleans_up = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not cleans_up and module.name not in CATCHES_EXCEPTION:
                wrong.append(f"{module.name}:{node.lineno}: except {caught}")
    assert wrong == []


def test_the_apply_flow_is_the_only_caller_of_write_on_a_target() -> None:
    """There is no second way to write: `port.write(...)` stands in the apply flow alone."""
    callers = set()
    for module in modules():
        if module.room not in PURE | {"cli"}:
            continue
        for node in ast.walk(module.tree):
            is_write = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write"
            if is_write and not ast.unparse(node).startswith("sys.stdout"):
                callers.add(module.name)
    assert callers == {"flows.writing"}
