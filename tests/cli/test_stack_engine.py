"""`sophia` over a real engine: looked at, mended, scaled for a while, made and destroyed.

The program is that of `examples/stack-and-zone`; the zone is the sandbox's.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sophia_cli.providers.pulumi.process import found_cli
from tests.cli import stack_site
from tests.cli.stack_site import Site, entry, move_clock
from tests.providers.pulumi.cli import needs_engine
from tests.test_startup import MODELS_AND_STACKS, loaded

pytestmark = [*needs_engine, pytest.mark.xdist_group("engine")]


@pytest.fixture
def site(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return stack_site.deployed(tmp_path_factory).copy(tmp_path / "site")


@pytest.fixture
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return stack_site.deployed(tmp_path_factory)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return functools.partial(move_clock, monkeypatch)


# -- looking ------------------------------------------------------------------------------------------------------------


def test_what_a_stack_holds_publishes_and_went_through_is_shown(deployed: Site) -> None:
    listed = entry(deployed.ok("stack", "list", "-o", "json"))
    assert (listed["environment"], listed["exists"], listed["resource_count"]) == ("prod", True, 1)
    assert listed["updates"][0]["result"] == "succeeded"
    shown = entry(deployed.ok("stack", "show", "prod", "-o", "json"))
    assert [(one["name"], one["protect"]) for one in shown["resources"]] == [("web-prod", False)]
    outputs = entry(deployed.ok("stack", "outputs", "-o", "json"))["outputs"]
    assert {name: one["value"] for name, one in outputs.items()} == {"ip": "203.0.113.40", "server": "web-prod"}
    past = entry(deployed.ok("stack", "history", "-o", "json"))["updates"]
    assert [(one["kind"], one["message"]) for one in past] == [("update", "sophia deploy")]
    for command in ("list", "show", "outputs", "history"):
        assert max(map(len, deployed.ok("stack", command).out.splitlines())) <= 80


def test_looking_at_a_stack_loads_no_stack_library(deployed: Site, tmp_path: Path) -> None:
    words = ("stack", "outputs", "-e", str(deployed.file))
    assert loaded(tmp_path, *words) & set(MODELS_AND_STACKS) == set()


def test_an_update_by_hand_is_a_threat_and_sophias_own_is_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = site.ok("audit", "threats", "-o", "json")
    assert [(one["name"], one["events"], one["own"]) for one in ran.data["sources"]] == [
        ("pulumi:organization/shop/prod", 0, 1)
    ]
    assert ran.data["findings"] == []
    cli = str(found_cli(os.environ))
    monkeypatch.setenv("PATH", os.pathsep.join(map(os.path.dirname, (cli, sys.executable))), prepend=os.pathsep)
    monkeypatch.setenv("PULUMI_HOME", str(site.root / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{site.root / 'state'}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "only-for-this-example")
    words = ("refresh", "--yes", "--skip-preview", "-m", "by hand", "-s", "organization/shop/prod")
    monkeypatch.setenv("PYTHONPATH", str(site.root))
    folder = site.root / ".sophia" / "pulumi" / "programs" / "shop"
    subprocess.run([cli, *words], cwd=folder, check=True, capture_output=True, timeout=60)
    (found,) = site.ok("audit", "threats", "-o", "json").data["findings"]
    assert (found["id"], found["target"]) == ("THREAT-BEHIND", "stack:organization/shop/prod")
    assert "its message: by hand" in found["evidence"]["records"][0]


# -- drift --------------------------------------------------------------------------------------------------------------


def test_drift_is_shown_by_property_and_put_back_or_taken_over_as_asked(site: Site) -> None:
    wanted = site.server.read_text()
    site.server.write_text("broken")
    drifted = site.run("stack", "drift", "--detailed-exitcode", "-o", "json")
    (one,) = entry(drifted)["drift"]
    assert (drifted.code, one["name"], one["property"]) == (2, "web-prod", "settings")
    assert (one["recorded"], one["there"]) == (wanted, "broken")
    assert site.run("stack", "restore", "web-prod").code == 3
    assert site.server.read_text() == "broken"
    site.ok("stack", "restore", "web-prod", "--yes")
    assert site.server.read_text() == wanted
    site.server.write_text("meant")
    assert site.run("stack", "adopt", "nothing", "--yes").code == 3
    site.ok("stack", "adopt", "--yes")
    assert site.server.read_text() == "meant"
    assert entry(site.ok("stack", "drift", "-o", "json"))["drift"] == []


# -- scaling for a while --------------------------------------------------------------------------------------------------


def test_ask_scales_for_an_hour_and_heal_puts_it_back_when_it_is_over(site: Site, later: Callable[..., None]) -> None:
    before = site.file.read_text()
    ran = site.ok("ask", "Scale up the webhook processing capacity for the next hour", "--yes", "-o", "json")
    assert ran.data["runs"][0]["outcome"] == "applied"
    assert (site.workers, "webhookWorkers: 3" in site.file.read_text()) == (3, True)
    words = shlex.split(ran.data["command"])[1:]
    assert site.run(*words, "-o", "json").code == 3  # the equal command is a real one; it only lacks the yes
    site.ok("heal")
    assert site.workers == 3
    later(hours=2)
    healed = site.ok("heal", "-o", "json").data
    assert [run["outcome"] for run in healed["runs"]] == ["applied"]
    assert (site.workers, site.file.read_text()) == (2, before)
    assert site.ok("plan", "--detailed-exitcode", "-o", "json").data["changes"] == []


def test_a_rollback_brings_configuration_and_resource_back(site: Site) -> None:
    wanted = site.server.read_text()
    site.edit("region: home", "region: moon")
    site.ok("deploy", "--yes")
    assert "moon" in site.server.read_text()
    site.ok("rollback", "--yes")
    assert site.server.read_text() == wanted


# -- environments ---------------------------------------------------------------------------------------------------------


def test_an_environment_is_asked_for_made_and_taken_down_by_its_name(site: Site) -> None:
    text = "Deploy a new staging environment for testing the new API"
    before = site.file.read_text()
    planned = site.ok("ask", text, "-o", "json").data
    assert planned["command"] == "sophia stack create staging"
    kinds = {change["kind"] for change in planned["plan"]["changes"]}
    assert kinds == {"config.value", "stack.config", "stack.resource", "dns.record"}
    site.ok(*shlex.split(planned["command"])[1:], "--yes")
    assert {one["environment"] for one in site.ok("stack", "list", "-o", "json").data["stacks"]} == {"prod", "staging"}
    assert (site.root / "servers" / "web-staging.json").exists()
    rows = site.ok("plan", "--stack", "staging", "--detailed-exitcode", "-o", "json").data
    assert rows["changes"] == []
    refused = site.run("stack", "destroy", "staging", "--yes")
    assert (refused.code, "--confirm staging" in refused.err) == (3, True)
    site.ok("stack", "destroy", "staging", "--yes", "--confirm", "staging")
    assert not (site.root / "servers" / "web-staging.json").exists()
    assert site.file.read_text() == before
    assert entry(site.ok("stack", "list", "-o", "json"))["environment"] == "prod"
    assert site.server.exists()


# -- policies -----------------------------------------------------------------------------------------------------------

PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy


def few_workers(args, report):
    if '"workers": 4' in str(args.props.get("settings")):
        report("four workers are too many")


few = ResourceValidationPolicy(name="few-workers", description="Few workers.", validate=few_workers)
PolicyPack(name="house", enforcement_level=EnforcementLevel.MANDATORY, policies=[few])
"""


def test_a_mandatory_policy_denies_a_plan_and_an_advisory_one_is_noted(site: Site) -> None:
    policy = pytest.importorskip("pulumi_policy", reason="pulumi-policy is not installed")
    pack = site.root / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n")
    (pack / "__main__.py").write_text(PACK)
    site.edit("    project: shop\n", "    project: shop\n    policy_packs: [./pack]\n")
    site.edit("webhookWorkers: 2", "webhookWorkers: 4")
    site.edit("values:\n", f"values:\n  environmentVariables: {{PYTHONPATH: {Path(policy.__file__).parent.parent}}}\n")
    said = "policy house/few-workers (web-prod): Few workers. four workers are too many"

    verdict = site.ok("plan", "-o", "json").data["verdict"]
    assert verdict["decision"] == "deny"
    assert [said in reason["message"] for reason in verdict["reasons"] if reason["needs"] is None] == [True]
    refused = site.run("deploy", "--yes")
    assert (refused.code, said in refused.err, site.workers) == (3, True, 2)

    (pack / "__main__.py").write_text(PACK.replace("MANDATORY", "ADVISORY"))
    advised = site.ok("plan", "-o", "json").data
    assert (advised["verdict"]["decision"], said in advised["notes"]) == ("allow", True)
