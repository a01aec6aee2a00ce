"""The pages: generated ones are what the program says today, links lead somewhere, and named tests exist."""

from __future__ import annotations

import html
import os
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from sophia_cli.cli.app import application
from sophia_cli.sandbox import running, seed
from tests.cli.harness import run

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

pytestmark = pytest.mark.xdist_group("docs")  # the story behind the pages is told once


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    sys.path.insert(0, str(DOCS))
    try:
        import generate as module
    finally:
        sys.path.remove(str(DOCS))
    return module


@pytest.fixture(scope="module")
def expected(generate: ModuleType) -> dict[Path, str]:
    pages: dict[Path, str] = generate.pages()
    return pages


def _words(svg: str) -> str:
    """What a picture shows: its form may differ between releases of rich, its text may not."""
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", svg, flags=re.DOTALL)).replace("\xa0", " ")


def test_tests_of_one_group_are_given_to_one_worker(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("the tests do not run side by side")
    assert request.node.nodeid.endswith("@docs"), "this pytest and this pytest-xdist do not go together"


@pytest.mark.parametrize("name", ["docs/commands.md", "docs/catalogue.md", "docs/pictures/sophia.svg", "README.md"])
def test_a_generated_page_is_what_the_program_says(name: str, expected: dict[Path, str]) -> None:
    path = ROOT / name
    written, due = path.read_text(encoding="utf-8"), expected[path]
    if path.suffix == ".svg":
        written, due = " ".join(_words(written).split()), " ".join(_words(due).split())
    assert written == due, f"{name} is out of date: run make docs"


def test_the_picture_fetches_nothing_from_elsewhere() -> None:
    svg = (DOCS / "pictures" / "sophia.svg").read_text()
    assert re.findall(r"(?:href|src)=|url\(\s*[\"']?http|@import|@font-face", svg) == []


def test_generated_text_holds_nothing_that_differs_from_run_to_run(expected: dict[Path, str]) -> None:
    for path, text in expected.items():
        assert "sophia-docs-" not in text, path
        assert set(re.findall(r"\d{8}T\d{9}-[0-9a-f]{4}", text)) <= {"20261122T154300123-9f3a"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(target)
    assert broken == []


def _anchors(path: Path) -> set[str]:
    """The anchors GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_test_that_a_page_names_exists() -> None:
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
        defined.add(path.stem)
    missing = {
        name
        for page in PAGES
        for name in re.findall(r"\b(test_\w+)\b", page.read_text(encoding="utf-8"))
        if name not in defined
    }
    assert missing == set()


def test_every_file_that_the_architecture_page_names_exists() -> None:
    text = (DOCS / "architecture.md").read_text()
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", text))
    assert len(named) > 20
    assert {name for name in named if not any((base / name).exists() for base in (ROOT, ROOT / "sophia_cli"))} == set()


def test_every_exit_code_of_the_errors_stands_on_the_security_page() -> None:
    from sophia_cli.core import errors

    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SophiaError)
    }
    text = (DOCS / "security.md").read_text()
    table = text[text.index("## Exit codes") : text.index("## Limits")]
    assert {0, 2, *codes} == {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)}


def test_every_command_that_a_page_shows_parses() -> None:
    from tests.test_examples import parse

    shown = set()
    for page in PAGES:
        for block in re.findall(
            r"(?:^ {4}.*\n)+|```(?:console|sh)\n.*?```", page.read_text(), flags=re.MULTILINE | re.DOTALL
        ):
            shown |= set(re.findall(r"^\s*(?:\$ )?(?:\*/5 \* \* \* \*  )?(sophia .*)$", block, flags=re.MULTILINE))
    commands = {line for line in shown if "[" not in line and page_is_command(line)}
    assert len(commands) >= 8
    for line in commands:
        parse(shlex.split(line, comments=True)[1:])


def page_is_command(line: str) -> bool:
    """Usage lines of the reference (words in capitals) are no commands."""
    known = set(typer.main.get_command(application()).commands)  # type: ignore[attr-defined]
    words = line.split()
    return words[1] in known and not any(word.isupper() for word in words[2:])


def test_the_readmes_commands_are_the_makefiles() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test", "lint", "bench", "docs", "test-servers"} <= targets
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) - {"and"} <= targets


def test_the_readmes_first_steps_work_as_written(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None
    data = work / "account.json"
    rows = [("@", "A", "203.0.113.1"), ("www", "CNAME", "example.com."), ("@", "TXT", "v=spf1 -all")]
    seed(data, "example.com", email_type="NONE", rows=rows)
    with running(data) as sandbox:
        for name in ("api_user", "api_key", "username"):
            monkeypatch.setenv(f"NAMECHEAP_{name.upper()}", getattr(sandbox, name))
        lines = [line.removeprefix("   ") for line in block.group(1).splitlines()]
        file = work / "sophia.yaml"
        file.write_text("\n".join([*lines, f"    endpoint: {sandbox.endpoint}", ""]))
        imported = run("import", "example.com", "--yes")
        assert imported.code == 0, imported.err
        planned = run("plan", "--detailed-exitcode", "-o", "json")
        assert (planned.code, planned.data["changes"]) == (0, []), planned.err
