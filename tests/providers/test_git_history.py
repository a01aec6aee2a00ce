"""The git history of a folder: every added line with its place, bounded, and a reason where it cannot be had."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from sophia_cli.providers.git_history import History, Skipped, history

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def test_without_git_or_a_repository_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(asyncio.run(history(tmp_path / "nothing")), Skipped)
    if shutil.which("git"):
        found = asyncio.run(history(tmp_path))
        assert isinstance(found, Skipped)
        assert "not in a git repository" in found.why
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(history(tmp_path)) == Skipped("git is not installed")


def commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    for words in (("add", "-A"), ("commit", "-qm", "x")):
        subprocess.run(
            ["git", "-c", "user.email=a@b.example", "-c", "user.name=a", *words], cwd=folder, check=True
        )  # fmt: skip


@needs_git
def test_every_added_line_of_the_folder_has_its_file_line_and_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    inner = tmp_path / "esc"
    inner.mkdir()
    commit(tmp_path, "outside.txt", "not of this folder\n")
    commit(inner, "ä file.yaml", "one\n++ two\n")
    commit(inner, "ä file.yaml", "one\n++ two\nthree\n")
    found = asyncio.run(history(inner))
    assert isinstance(found, History)
    assert [(one.file, one.line, one.text) for one in found.lines] == [
        ("esc/ä file.yaml", 3, "three"),
        ("esc/ä file.yaml", 1, "one"),
        ("esc/ä file.yaml", 2, "++ two"),
    ]
    assert len({one.commit for one in found.lines}) == 2
    assert found.cut is None


@needs_git
def test_a_long_history_is_cut_and_says_so(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for number in range(3):
        commit(tmp_path, "a", f"{number}\n")
    found = asyncio.run(history(tmp_path, commits=2))
    assert isinstance(found, History)
    assert [one.text for one in found.lines] == ["2", "1"]
    assert found.cut == "only the newest 2 commits were looked at"
    commit(tmp_path, "b", "x" * 5000 + "\n")
    short = asyncio.run(history(tmp_path, limit=1000))
    assert isinstance(short, History)
    assert "were looked at" in (short.cut or "")


@needs_git
def test_other_branches_tags_and_packed_histories_are_looked_at_whatever_the_users_configuration(
    tmp_path: Path,
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("config", "diff.noprefix", "true")
    commit(tmp_path, "sophia.yaml", "first\n")
    git("checkout", "-qb", "try")
    commit(tmp_path, "sophia.yaml", "on a branch\n")
    git("checkout", "-q", "main")
    git("checkout", "-qb", "gone")
    commit(tmp_path, "sophia.yaml", "under a tag\n")
    git("tag", "v1")
    git("checkout", "-q", "main")
    git("branch", "-qD", "gone")
    git("gc", "-q")
    assert (tmp_path / ".git" / "packed-refs").is_file()
    found = asyncio.run(history(tmp_path))
    assert isinstance(found, History)
    assert {one.text for one in found.lines} == {"first", "on a branch", "under a tag"}
    assert {one.file for one in found.lines} == {"sophia.yaml"}
