"""The examples: each story is run on the sandbox, and the workflow is read as GitHub and the command line would."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from sophia_cli.cli.app import application
from tests.cli.harness import run
from tests.providers.pulumi.cli import CLI

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
WORKFLOW = EXAMPLES / "github-actions" / "sophia.yml"
CI = ROOT / ".github" / "workflows" / "ci.yml"

ACME_VARIABLES = {
    "LAMBDA_IP_ADDRESS": "203.0.113.7",
    "GH_IP_ADDRESS": "203.0.113.8",
    "NAMECHEAP_API_USER": "acme-user",
    "NAMECHEAP_API_KEY": "key-0123456789abcdef",
    "NAMECHEAP_USERNAME": "acme-user",
    "SSL_ADMIN_EMAIL": "tls@acme.example",
    "ALERT_EMAIL": "ops@acme.example",
}


@pytest.fixture
def example(work: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of one example's folder, as the working directory."""
    shutil.copytree(EXAMPLES / request.param, work, dirs_exist_ok=True)
    return work


def test_every_example_is_run_or_linted_by_a_test() -> None:
    known = {"acme", "two-domains", "github-actions", "broken-zone", "certificates", "stack-and-zone"}
    assert {path.name for path in EXAMPLES.iterdir()} == known
    assert "broken-zone" in (ROOT / "tests" / "checks" / "test_broken_zone.py").read_text()


# -- environments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", ["two-domains"], indirect=True)
def test_two_domains_are_planned_deployed_and_then_as_wanted(example: Path) -> None:
    assert run("config", "check").code == 0
    planned = run("plan", "--sandbox", "-o", "json")
    assert planned.code == 0
    touched = {change["target"] for change in planned.data["changes"]}
    assert touched == {"dns:acme.example", "dns:acme-links.example"}
    names = ("--confirm", "acme.example", "--confirm", "acme-links.example")
    assert run("deploy", "--sandbox", "--yes", "--wait", "5").code == 3  # mail modes change: the names are wanted
    deployed = run("deploy", "--sandbox", "--yes", *names, "--wait", "5", "-o", "json")
    assert (deployed.code, deployed.data["outcome"], deployed.data["verified"]) == (0, "applied", True)
    again = run("plan", "--sandbox", "--detailed-exitcode", "-o", "json")
    assert (again.code, again.data["changes"]) == (0, [])


@pytest.mark.parametrize("example", ["two-domains"], indirect=True)
def test_the_header_of_two_domains_shows_commands_that_work(example: Path) -> None:
    text = (example / "sophia.yaml").read_text()
    commands = re.findall(r"^#   (sophia [^#\n]+)", text, flags=re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        ran = run(*shlex.split(command)[1:])
        assert ran.code == 0, ran.err


@pytest.mark.parametrize("example", ["two-domains"], indirect=True)
def test_a_domain_takes_from_the_shared_settings_what_it_does_not_say(example: Path) -> None:
    rows = {
        (change["target"], change["after"]["ttl"])
        for change in run("plan", "--sandbox", "-o", "json").data["changes"]
        if change["kind"] == "dns.record" and change["after"]
    }
    assert rows == {("dns:acme.example", 300), ("dns:acme-links.example", 1800)}


@pytest.mark.parametrize("example", ["acme"], indirect=True)
def test_the_environment_of_the_known_shape_loads_with_its_variables(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ACME_VARIABLES.items():
        monkeypatch.setenv(name, value)
    shown = run("config", "show", "-o", "json")
    assert shown.code == 0, shown.err
    values = shown.data["values"]
    assert values["dns"]["domain"] == "acme.example"
    assert values["platform"]["environment"] == "production"
    assert values["ip_addresses"]["primary_server"] == "[secret]"
    assert ACME_VARIABLES["NAMECHEAP_API_KEY"] not in shown.out
    planned = run("plan", "--sandbox", "-o", "json")
    assert planned.code == 0, planned.err
    made = {
        (change["after"]["name"], change["after"]["value"]) for change in planned.data["changes"] if change["after"]
    }
    assert made == {(name, ACME_VARIABLES["LAMBDA_IP_ADDRESS"]) for name in ("@", "api", "*")}


@pytest.mark.parametrize("example", ["acme"], indirect=True)
def test_without_its_variables_it_names_each_one_with_file_and_line(example: Path) -> None:
    ran = run("plan", "--sandbox", "-o", "json")
    assert ran.code == 64
    assert ran.out == ""
    diagnostics = ran.error["details"]["diagnostics"]
    missing = {}
    for name in ACME_VARIABLES:
        [found] = [one for one in diagnostics if f'"{name}"' in one["message"]]
        missing[name] = (Path(found["file"]).name, found["line"])
    lines = (example / "infrastructure" / "esc" / "production.yaml").read_text().splitlines()
    for name, (file, line) in missing.items():
        assert file == "production.yaml"
        assert name in lines[line - 1]
    said = run("plan", "--sandbox").err
    for name, (file, line) in missing.items():
        assert re.search(rf"{re.escape(file)}:{line}:\d+: .*{name}", said)


# -- a stack and a zone -----------------------------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.xdist_group("engine")
@pytest.mark.skipif(CLI is None, reason="no pulumi CLI on PATH or in SOPHIA_PULUMI")
@pytest.mark.parametrize("example", ["stack-and-zone"], indirect=True)
def test_a_stack_and_its_record_are_deployed_together_and_drift_is_mended(example: Path) -> None:
    file = str(example / "sophia.yaml")
    deployed = run("deploy", "-e", file, "--yes", "-o", "json")
    assert (deployed.code, deployed.data["outcome"], deployed.data["verified"]) == (0, "applied", True)
    again = run("plan", "-e", file, "--detailed-exitcode", "-o", "json")
    assert (again.code, again.data["changes"]) == (0, [])
    server = example / "servers" / "web-prod.json"
    wanted = server.read_text()
    server.write_text("broken")
    found = run("heal", "-e", file, "--dry-run", "-o", "json")
    drift = [one["evidence"] for one in found.data["findings"] if one["id"] == "STACK-DRIFT"]
    assert (found.code, [(one["property"], one["there"]) for one in drift]) == (2, [("settings", "broken")])
    assert server.read_text() == "broken"
    assert run("heal", "-e", file).code == 0
    assert server.read_text() == wanted


@pytest.mark.parametrize("example", ["stack-and-zone"], indirect=True)
def test_without_the_engine_the_example_says_what_it_left_out(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia_cli.cli.stacks.has_cli", lambda: False)
    planned = run("plan")
    assert planned.code == 0
    assert "stack prod is left out: the pulumi command is not here (sophia doctor)" in planned.err
    assert "docs" in planned.out


@pytest.mark.parametrize("example", ["stack-and-zone"], indirect=True)
def test_the_readme_of_the_stack_shows_commands_that_parse(example: Path) -> None:
    lines = [line.partition("#")[0] for line in (example / "README.md").read_text().splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("sophia ")]
    assert len(commands) >= 8
    for words in commands:
        parse(words)


# -- workflows --------------------------------------------------------------------------------------------------------


def _workflow(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())
    return loaded


def _steps(workflow: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            yield name, step


def _commands(workflow: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each `sophia ...` line of a workflow, split as a shell would; redirections are left out."""
    for job, step in _steps(workflow):
        for line in step.get("run", "").splitlines():
            if line.strip().startswith("sophia "):
                words = shlex.split(line.partition(">>")[0])
                yield job, [word.replace("$ZONE", "acme.example") for word in words[1:]]


BOTH = pytest.mark.parametrize("path", [WORKFLOW, CI], ids=["example", "ci"])


@BOTH
def test_a_workflow_holds_the_least_permissions(path: Path) -> None:
    workflow = _workflow(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert job.get("permissions", {"contents": "read"}) == {"contents": "read"}
        assert job["timeout-minutes"] <= 30


@BOTH
def test_actions_are_pinned_to_a_commit_with_the_version_beside_it(path: Path) -> None:
    uses = [line.strip() for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        assert re.search(r"uses: actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@BOTH
def test_no_run_line_takes_in_an_expression(path: Path) -> None:
    for _, step in _steps(_workflow(path)):
        assert "${{" not in step.get("run", ""), step
    assert "pull_request_target" not in _workflow(path)["on"]


@BOTH
def test_checkouts_keep_no_credentials_and_runs_do_not_pile_up(path: Path) -> None:
    workflow = _workflow(path)
    assert workflow["concurrency"]["group"]
    checkouts = [step for _, step in _steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_ci_runs_what_the_project_says_and_nothing_else() -> None:
    workflow = _workflow(CI)
    assert set(workflow["on"]) == {"push", "pull_request"}
    assert [step["run"] for _, step in _steps(workflow) if "run" in step] == [".ci/run"]
    script = (ROOT / ".ci" / "run").read_text()
    made = re.findall(r"make --no-print-directory ([a-z-]+)", script)
    assert made == ["test-servers", "test-clients", "lint", "test"]


def test_the_example_workflow_does_each_thing_where_it_belongs() -> None:
    workflow = _workflow(WORKFLOW)
    assert set(workflow["on"]) == {"pull_request", "push", "schedule"}
    assert workflow["on"]["push"] == {"branches": ["main"]}
    jobs = workflow["jobs"]
    by_job: dict[str, list[str]] = {}
    for job, words in _commands(workflow):
        by_job.setdefault(job, []).append(" ".join(words))
    assert {job: [line.split()[0] for line in lines] for job, lines in by_job.items()} == {
        "fork": ["config", "analyze"],
        "plan": ["analyze", "plan"],
        "deploy": ["deploy"],
        "heal": ["heal"],
    }
    assert by_job["deploy"] == ["deploy plan.json --ai-enhanced --yes --no-input"]
    assert jobs["deploy"]["environment"] == "production"
    assert jobs["deploy"]["if"] == "github.event_name == 'push'"
    assert jobs["heal"]["if"] == "github.event_name == 'schedule'"
    assert jobs["deploy"]["concurrency"] == jobs["heal"]["concurrency"]
    assert jobs["deploy"]["concurrency"]["cancel-in-progress"] is False
    summaries = [step["run"] for _, step in _steps(workflow) if "-o markdown" in step.get("run", "")]
    assert summaries
    assert all('>> "$GITHUB_STEP_SUMMARY"' in line for text in summaries for line in text.strip().splitlines())


def test_a_fork_gets_no_secret_no_network_and_no_writing_command() -> None:
    job = _workflow(WORKFLOW)["jobs"]["fork"]
    assert job["if"] == "github.event_name == 'pull_request' && github.event.pull_request.head.repo.fork"
    assert "secrets." not in str(job)
    assert job["runs-on"] == "ubuntu-24.04"
    assert "environment" not in job
    analyze = [words for name, words in _commands(_workflow(WORKFLOW)) if name == "fork" and words[0] == "analyze"]
    assert all("--zone-file" in words for words in analyze)
    plan = _workflow(WORKFLOW)["jobs"]["plan"]["if"]
    assert "!github.event.pull_request.head.repo.fork" in plan


def test_every_command_line_of_the_workflow_parses() -> None:
    lines = [words for _, words in _commands(_workflow(WORKFLOW))]
    assert len(lines) == 6
    for words in lines:
        parse(words)


def parse(words: list[str]) -> None:
    """Parse a command line against the real app, without running it. Raises typer's usage error."""
    command: Any = typer.main.get_command(application())
    context = command.make_context("sophia", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def test_parse_refuses_what_the_command_line_refuses() -> None:
    for words in (["plan", "--no-such-option"], ["nothing"], ["config", "nothing"], ["approve"]):
        with pytest.raises(Exception, match=r"No such|Missing"):
            parse(words)


@pytest.mark.parametrize("example", ["acme"], indirect=True)
def test_what_a_fork_runs_works_with_its_stand_ins(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = _workflow(WORKFLOW)
    (example / "zones").mkdir()
    (example / "zones" / "acme.example.zone").write_text("$ORIGIN acme.example.\n$TTL 300\n@ A 203.0.113.7\n")
    for name, value in {**workflow["env"], **workflow["jobs"]["fork"]["env"]}.items():
        monkeypatch.setenv(name, str(value))
    for job, words in _commands(workflow):
        if job == "fork":
            ran = run(*words)
            assert ran.code == 0, ran.err
            if "markdown" in words:
                assert "acme.example" in ran.out


@pytest.mark.parametrize("example", ["acme"], indirect=True)
def test_what_main_runs_works_on_the_sandbox(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = _workflow(WORKFLOW)
    for name, value in {**ACME_VARIABLES, **workflow["env"]}.items():
        monkeypatch.setenv(name, str(value))
    for job, words in _commands(workflow):
        if job != "fork":
            ran = run(*words, "--sandbox")
            assert ran.code == 0, f"{words}: {ran.err}"
    assert run("plan", "--sandbox", "--detailed-exitcode").code == 0
