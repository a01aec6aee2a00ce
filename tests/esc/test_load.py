"""Loading: finding the file, unreadable files, and `--set`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sophia_cli.core.errors import InvalidEnvironment, UsageError
from sophia_cli.esc.environment import Environment
from sophia_cli.esc.load import load, unresolved
from sophia_cli.esc.locate import find
from sophia_cli.esc.overrides import GUARDED

Evaluate = Callable[..., Environment]


def write(folder: Path, name: str, text: str = "a: 1") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# -- finding -------------------------------------------------------------------------------------------------------------


def test_sophia_yaml_is_found_upward(tmp_path: Path) -> None:
    path = write(tmp_path, "sophia.yaml")
    (tmp_path / "a/b").mkdir(parents=True)
    assert find(tmp_path / "a/b") == path


@pytest.mark.parametrize("folder", ["infrastructure/esc", "esc"])
def test_the_one_file_that_no_other_imports_is_found(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}/base.yaml")
    path = write(tmp_path, f"{folder}/production.yml", "imports: [base]")
    assert find(tmp_path) == path


def test_sophia_yaml_wins_over_the_folders_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "esc/a.yaml")
    named = write(tmp_path, "sophia.yaml")
    assert find(tmp_path) == named


def test_several_candidates_are_named_and_none_is_chosen(tmp_path: Path) -> None:
    write(tmp_path, "esc/dev.yaml", "imports: [base]")
    write(tmp_path, "esc/prod.yaml", "imports: [{base: {merge: false}}]")
    write(tmp_path, "esc/base.yaml")
    with pytest.raises(InvalidEnvironment) as caught:
        find(tmp_path)
    assert "dev.yaml, prod.yaml" in caught.value.message
    assert "-e" in (caught.value.hint or "")
    assert caught.value.exit_code == 64


def test_no_file_at_all_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        find(tmp_path)
    assert "sophia.yaml" in caught.value.message
    assert "infrastructure/esc/" in caught.value.message


# -- reading -------------------------------------------------------------------------------------------------------------


def test_a_missing_file_a_folder_and_a_pipe_are_refused_with_exit_64(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, part in ((tmp_path / "no.yaml", "no such file"), (tmp_path, "directory"), (tmp_path / "pipe", "regular")):
        with pytest.raises(InvalidEnvironment) as caught:
            load(path)
        assert str(path) in caught.value.message
        assert part in caught.value.message
        assert caught.value.exit_code == 64
        assert caught.value.details["diagnostics"][0]["line"] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "env.yaml")
    path.chmod(0)
    with pytest.raises(InvalidEnvironment, match="Permission denied"):
        load(path)


def test_an_import_that_cannot_be_read_is_a_diagnostic_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").mkdir()
    found = load(write(tmp_path, "env.yaml", "imports: [base]")).errors
    assert [(one.at.line, one.at.column) for one in found] == [(1, 11)]
    assert "directory" in found[0].message


def test_the_name_is_the_stem_and_the_files_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml")
    found = load(write(tmp_path, "prod.yaml", "imports: [base]"))
    assert (found.name, found.stack, [Path(one).name for one in found.files]) == (
        "prod",
        "prod",
        ["prod.yaml", "base.yaml"],
    )


def test_a_version_after_the_name_is_the_services_and_is_left_off_for_files(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "b: 2")
    assert load(write(tmp_path, "prod.yaml", "imports: [base@3]")).values() == {"b": 2}


def test_what_is_not_on_disk_is_listed_so_that_it_can_be_fetched(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "imports: [far]\nvalues: {x: 'a ${environments.p.q.z}'}")
    path = write(tmp_path, "env.yaml", "imports: [base, org/lost]")
    assert unresolved(path) == ("org/lost", "far", "p/q")
    cloud = {"org/lost": "imports: [org/deep]", "far": "values: {f: 1}", "p/q": "values: {z: 3}"}
    assert unresolved(path, cloud=cloud) == ("org/deep",)
    found = load(path, cloud={**cloud, "org/deep": "values: {d: 4}"})
    assert found.values() == {"d": 4, "f": 1, "x": "a 3"}
    assert not found.local


# -- overrides -----------------------------------------------------------------------------------------------------------

BODY = "imports: [base]\nvalues:\n  dns: {ttl: 300, names: [a, b]}\n  r: ${dns.ttl}\n  s: {fn::secret: x}\n"
BASE = {"base.yaml": "values: {deep: {down: {k: 1}, other: 2}}"}


@pytest.mark.parametrize(
    ("override", "path", "result"),
    [
        ("dns.ttl=600", "r", 600),
        ("dns.ttl=no", "r", "no"),
        ("dns.ttl='600'", "r", "600"),
        ("dns.ttl=", "r", None),
        ("dns.ttl=${r}", "r", "${r}"),
        ("dns.ttl=a=b", "r", "a=b"),
        ("dns.ttl=$$", "r", "$$"),
        ("dns.names[1]=c", "dns.names", ["a", "c"]),
        ("deep.down.k=5", "deep", {"down": {"k": 5}, "other": 2}),
        ("brand.new=x", "brand", {"new": "x"}),
        ('"x-y"=1', None, None),
    ],
)
def test_an_override_counts_before_references_are_followed(
    evaluate: Evaluate, override: str, path: str | None, result: Any
) -> None:
    if path is None:
        with pytest.raises(UsageError):
            evaluate(BODY, BASE, overrides=[override])
        return
    found = evaluate(BODY, BASE, overrides=[override])
    assert found.get(path).plain() == result  # type: ignore[union-attr]


def test_the_last_of_two_overrides_counts_and_is_named_as_origin(evaluate: Evaluate) -> None:
    found = evaluate(BODY, BASE, overrides=["dns.ttl=1", "dns.ttl=2"])
    assert found.values()["r"] == 2
    assert [(step.file, step.line) for step in found.explain("r")][-1] == ("--set", 2)


@pytest.mark.parametrize(
    "override",
    [
        "ai_infrastructure.autonomy=autonomous",
        "ai_infrastructure.limits.max_changes=9",
        "ai_infrastructure.model.base_url=x",
        "namecheap.endpoint=https://evil.example",
        "dns.purge=true",
        'dns.domains["a.example"].purge=true',
        "dns.records.root.protect=false",
        "x.model=1",
        "ai_infrastructure=x",
        "namecheap=x",
        "dns=x",
        "dns.records=x",
        "dns.records.root=x",
        'dns.domains["a.example"]=x',
        "deep=1",
        "deep.down=1",
        "dns.names=x",
        "dns.names[2]=x",
        "dns.ttl.x=1",
        "r.x=1",
        "s.fn=1",
        "dns.ttl",
        "=x",
        "a..b=x",
        "dns.ttl=[1]",
        "dns.ttl={a: 1}",
        "dns.ttl='x",
    ],
)
def test_an_override_that_reaches_too_far_or_makes_no_sense_is_refused(evaluate: Evaluate, override: str) -> None:
    with pytest.raises(UsageError) as caught:
        evaluate(BODY, BASE, overrides=[override])
    assert caught.value.exit_code == 64
    assert "--set" in caught.value.message


@pytest.mark.parametrize("key", sorted(GUARDED))
def test_a_guarded_key_is_refused_by_its_name_before_anything_is_read(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"{key} cannot be set on the command line"):
        load(write(tmp_path, "env.yaml", "a: [broken"), overrides=[f"x.{key}.y=1"])


@pytest.mark.parametrize("key", sorted(GUARDED))
def test_a_guarded_value_cannot_be_reached_through_references_either(evaluate: Evaluate, key: str) -> None:
    with pytest.raises(UsageError, match="computed from a value set on the command line"):
        evaluate(f"values: {{free: a, m: '${{free}}', x: {{{key}: ['x ${{m}}']}}}}", overrides=["free=b"])


def test_a_secret_call_can_be_set_as_a_whole(evaluate: Evaluate) -> None:
    assert evaluate(BODY, BASE, overrides=["s=plain"]).values()["s"] == "plain"
