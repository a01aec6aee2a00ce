"""`sophia secrets`: the inventory and rotations by the command, through the real gate; no value is ever shown."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.harness import Ran, run
from tests.providers.rotation_servers import backend

PASSWORD = "hunter2-hunter2-77"
PLAIN = "Tr0ub4dor-and-3"
KEY = "nc-key-0123456789"
TOKEN = "pul-" + "a" * 40
GITHUB = "ghp_EXAMPLEexampleEXAMPLEexample0123456789"
ALL = (PASSWORD, PLAIN, KEY, TOKEN, GITHUB)
TEXT = f"""\
values:
  app:
    # the database
    password: {{fn::secret: {PASSWORD}}} # keep me
    admin_password: "{PLAIN}"
    password_file: /run/secrets/password
  pulumi:
    access_token:
      fn::secret: {TOKEN}
  environmentVariables:
    PULUMI_ACCESS_TOKEN: ${{pulumi.access_token}}
    FROM_CI: ${{CI_SECRET}}
  namecheap: {{api_key: {{fn::secret: {KEY}}}, api_user: {{fn::secret: acme-user}}}}
  security: {{secret_rotation_days: 30}}
  dns:
    provider: sandbox
    domain: acme.example
    records:
      leak: {{name: leak, type: TXT, value: "token {GITHUB}"}}
"""


@pytest.fixture
def file(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CI_SECRET", "from-the-ci-0001")
    path = work / "sophia.yaml"
    path.write_text(TEXT)
    return path


def silent(ran: Ran, *more: str) -> Ran:
    """The same, once it is known to show no value."""
    for value in (*ALL, *more):
        assert value not in ran.out + ran.err
    return ran


def listed(*words: str) -> Ran:
    return silent(run("secrets", "list", *words))


def test_the_inventory_names_each_secret_once_with_kind_age_and_rotation(file: Path) -> None:
    data = listed("-o", "json", "--no-history").data
    secrets = {one["path"]: one for one in data["secrets"]}
    assert set(secrets) == {
        "app.password", "pulumi.access_token", "environmentVariables.FROM_CI", "namecheap.api_key",
        "namecheap.api_user",
    }  # fmt: skip
    assert {path: one["rotation"] for path, one in secrets.items()} == {
        "app.password": "generated", "pulumi.access_token": "pulumi-token", "namecheap.api_key": "by hand",
        "namecheap.api_user": "never", "environmentVariables.FROM_CI": "where it is written",
    }  # fmt: skip
    assert (secrets["app.password"]["line"], secrets["namecheap.api_key"]["provider"]) == (4, "Namecheap")
    assert data["rotation_days"] == 30
    assert data["summary"]["due"] == 0


def test_what_lies_open_is_named_by_its_place(file: Path) -> None:
    exposed = {
        (one["where"], one["place"]): one["length"] for one in listed("-o", "json", "--no-history").data["exposed"]
    }
    assert exposed == {
        ("environment", f"{file}:5 app.admin_password"): len(PLAIN),
        ("environment", f"{file}:19 dns.records.leak.value"): len(GITHUB) + len("token "),
        ("zone", "TXT leak of acme.example"): len(GITHUB),
    }
    assert run("secrets", "list", "--no-history", "--fail-on-due").code == 2


def test_ages_are_kept_by_keyed_digest_and_a_rotation_is_due(file: Path) -> None:
    listed()
    (seen,) = (file.parent / ".sophia" / "secrets").glob("*/seen.json")
    stored = json.loads(seen.read_text())
    assert not any(value in path.read_text() for path in seen.parent.rglob("*.json") for value in ALL)
    old = (datetime.now(UTC) - timedelta(days=31)).isoformat().replace("+00:00", "Z")
    for path in ("app.password", "namecheap.api_key", "namecheap.api_user"):
        stored["seen"][path]["since"] = old
    seen.write_text(json.dumps(stored))
    data = listed("-o", "json").data
    assert {one["path"] for one in data["secrets"] if one["is_due"]} == {"app.password", "namecheap.api_key"}
    assert [one["age_days"] for one in data["secrets"]][:2] == [31, 31]
    text = listed().out
    assert "MANAGE" in text  # the clicks for what no API rotates
    assert "2 due (rotation every 30 days)" in text
    file.write_text(TEXT.replace(PASSWORD, "another-value-99"))
    again = {one["path"]: one for one in listed("-o", "json").data["secrets"]}
    assert (again["app.password"]["age_days"], again["app.password"]["is_due"]) == (0, False)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_git_history_is_looked_through_and_shown_by_place(file: Path) -> None:
    assert {one["id"] for one in listed("-o", "json").data["not_tested"]} >= {"git history"}

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.email=a@b.example", "-c", "user.name=a", *words], cwd=file.parent, check=True,
            capture_output=True,
        )  # fmt: skip

    git("init", "-q")
    git("add", file.name)
    git("commit", "-qm", "one")
    file.write_text("values: {a: 1}\n")
    git("commit", "-qam", "the secrets are gone from the file")
    data = listed("-o", "json").data
    assert data["secrets"] == []
    places = {one["place"].partition(" in ")[0]: one["kind"] for one in data["exposed"] if one["where"] == "git"}
    assert places == {
        "sophia.yaml:4": "text behind fn::secret",
        "sophia.yaml:5": "named secret",
        "sophia.yaml:9": "Pulumi token",
        "sophia.yaml:13": "text behind fn::secret",
        "sophia.yaml:19": "GitHub token",
    }
    assert "git history" not in {one["id"] for one in data["not_tested"]}


def test_a_generated_value_is_replaced_in_place_through_the_gate(file: Path) -> None:
    ran = silent(run("secrets", "rotate", "app.password", "--no-input"))
    assert ran.code == 3
    assert "--yes" in ran.err
    assert file.read_text() == TEXT
    ran = silent(run("secrets", "rotate", "app.password", "--yes", "-o", "json"))
    assert (ran.code, ran.data["step"], ran.data["kind"]) == (0, "done", "generated")
    new = file.read_text().split("password: {fn::secret: ")[1].split("}")[0]
    assert file.read_text() == TEXT.replace(PASSWORD, new)
    events = silent(run("audit", "show", "-o", "json"), new).data["events"]
    steps = [event["action"] for event in events if event["action"].startswith("rotate.")]
    assert steps == ["rotate.create", "rotate.set", "rotate.test", "rotate.finish", "rotate.done"]
    held = "".join(path.read_text() for path in (file.parent / ".sophia").rglob("*") if path.is_file())
    assert not any(value in held for value in (PASSWORD, new))
    silent(run("audit", "threats"), new)
    assert run("audit", "threats", "-o", "json").data["findings"] == []


def test_a_plain_text_becomes_a_secret_and_hold_keeps_both(file: Path) -> None:
    assert silent(run("secrets", "rotate", "app.admin_password", "--yes", "--hold")).code == 0
    assert PLAIN in file.read_text()
    assert run("config", "check").code == 0
    assert "previous_secrets" not in {one["path"] for one in listed("-o", "json").data["secrets"]}
    assert silent(run("secrets", "rotate", "app.admin_password", "--yes")).code == 0
    assert PLAIN not in file.read_text()
    assert "previous_secrets" not in file.read_text()
    entry = next(one for one in listed("-o", "json").data["secrets"] if one["path"] == "app.admin_password")
    assert entry["written"] == "fn::secret"


def test_a_pulumi_token_and_its_copy_at_github_are_rotated(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with backend() as server:
        id = server.token(TOKEN)
        monkeypatch.setenv("PULUMI_BACKEND_URL", server.url)
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        words = (
            "secrets",
            "rotate",
            "pulumi.access_token",
            "--old-id",
            id,
            "--github",
            "acme/site:PULUMI_TOKEN",
            "--yes",
        )
        assert silent(run(*words)).code == 4  # no GITHUB_TOKEN, and nothing was begun
        monkeypatch.setenv("GITHUB_TOKEN", "gh-token")
        ran = silent(run(*words), *server.values())
        assert ran.code == 0, ran.err
        (new,) = server.values()
        assert file.read_text() == TEXT.replace(TOKEN, new)
        assert server.secrets == {"/repos/acme/site/actions/secrets/PULUMI_TOKEN": new}
        assert "handed to github:acme/site:PULUMI_TOKEN" in ran.out


def test_a_new_token_that_could_not_be_ended_is_ended_by_heal(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with backend() as server:
        server.token(TOKEN)
        monkeypatch.setenv("PULUMI_BACKEND_URL", server.url)
        server.refuse_new = True
        server.fail["DELETE /api/user/tokens/tok-2"] = 503
        ran = silent(run("secrets", "rotate", "pulumi.access_token", "--yes"))
        assert ran.code == 5
        assert "sophia heal" in ran.err
        assert len(server.values()) == 2
        server.fail.clear()
        run("heal")
        assert server.values() == {TOKEN}
        assert file.read_text() == TEXT


def test_a_frozen_secret_is_refused_by_its_name_as_written(file: Path) -> None:
    file.write_text(TEXT.replace("password: {fn", "dbPassword: {fn"))
    assert run("freeze", "secret:app.dbPassword").code == 0
    ran = silent(run("secrets", "rotate", "app.dbPassword", "--yes"))
    assert (ran.code, "sophia thaw secret:app.dbPassword" in ran.err) == (3, True)
    assert run("thaw", "secret:app.dbPassword").code == 0
    assert silent(run("secrets", "rotate", "app.dbPassword", "--yes")).code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("namecheap.api_key",), 3, "RESET"),
        (("namecheap.api_user",), 3, "is not rotated"),
        (("app.nothing",), 64, "has no such secret"),
        (("app.password", "--kind", "magic"), 64, "one of auto"),
        (("app.password", "--length", "4"), 64, "between 16 and 256"),
        (("environmentVariables.FROM_CI", "--kind", "generated"), 3, "reference"),
        (("app.password", "--github", "nonsense"), 64, "OWNER/REPO:NAME"),
    ],
)
def test_what_cannot_be_rotated_says_why_and_changes_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "gh-token")
    ran = silent(run("secrets", "rotate", *words, "--yes"))
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert file.read_text() == TEXT


@pytest.mark.parametrize("url", ["http://pulumi.example", "ftp://127.0.0.1", "https://user:x@pulumi.example", "no url"])
def test_a_token_is_sent_to_no_unsafe_address(file: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    ran = silent(run("secrets", "rotate", "pulumi.access_token", "--yes"))
    assert ran.code == 64
    assert "must be https" in ran.err


def test_a_file_that_cannot_be_undone_by_rollback_is_left_alone(file: Path) -> None:
    assert run("secrets", "rotate", "app.password", "--yes").code == 0
    after = file.read_text()
    ran = silent(run("rollback", "--yes"))
    assert ran.code != 0
    assert file.read_text() == after
    assert "[secret]" not in after
