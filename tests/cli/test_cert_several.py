"""Several certificates, several authorities, several chains: what an environment may ask for, from real Pebbles."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from sophia_cli.sandbox import Sandbox
from tests.cli.certificate_stage import ZONE, Stage, put_back, resolver, servers
from tests.providers.acme import pebble
from tests.providers.acme.pebble import Pebble

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING),
]
MORE = "certificates: {shop: {domains: [shop.acme.example], key_type: ec-p384}, mail: {domains: [mail.acme.example]}}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Pebble, Path]]:
    with servers(tmp_path_factory.mktemp("several"), PEBBLE_ALTERNATE_ROOTS=1, PEBBLE_CHAIN_LENGTH=2) as found:
        yield found


@pytest.fixture
def stage(shared: tuple[Sandbox, Pebble, Path], work: Path) -> Stage:
    box, ca, data = shared
    box.control(clear=True, forget=True)
    put_back(data)
    found = Stage(box, ca, data, work / "acme.yaml")
    found.environment()
    return found


def certificates(stage: Stage, *names: str) -> dict[str, Any]:
    entries = stage.run("cert", "list", *names, "-o", "json").data["certificates"]
    return {entry["target"]: entry["installed"] for entry in entries}


# -- several certificates ---------------------------------------------------------------------------------------------------


def test_one_deploy_issues_every_certificate_and_heal_renews_the_one_that_is_due(stage: Stage) -> None:
    stage.environment(**several())
    before = stage.rows()
    planned = stage.run("plan", "-o", "json").data["changes"]
    assert {change["target"] for change in planned if change["kind"] == "cert.issue"} == {
        "cert:acme.example", "cert:shop", "cert:mail",
    }  # fmt: skip
    assert stage.run("deploy", "--yes").code == 0
    there = certificates(stage)
    assert {target: (one["names"], one["key_type"]) for target, one in there.items()} == {
        "cert:acme.example": ([ZONE], "ec-p256"),
        "cert:shop": ([f"shop.{ZONE}"], "ec-p384"),
        "cert:mail": ([f"mail.{ZONE}"], "ec-p256"),
    }
    assert stage.rows() == before
    shop = replace(stage, name="shop")
    shop.age(days=60)
    healed = stage.run("heal", "-o", "json")
    assert [entry["target"] for entry in healed.data["repaired"]] == ["cert:shop"], healed.err
    after = certificates(stage)
    assert {target for target in after if after[target]["serial"] != there[target]["serial"]} == {"cert:shop"}
    assert stage.run("heal").out == ""
    assert stage.rows() == before


def several() -> dict[str, str]:
    key, _, value = MORE.partition(": ")
    return {key: value}


def test_a_command_may_name_one_and_has_to_where_it_can_mean_only_one(stage: Stage) -> None:
    stage.environment(**several())
    assert stage.run("cert", "issue", "shop", "mail", "--yes").code == 0
    there = certificates(stage)
    assert {target for target, one in there.items() if one} == {"cert:shop", "cert:mail"}
    assert stage.run("cert", "renew", "shop", "--force", "--yes").code == 0
    assert certificates(stage, "mail")["cert:mail"] == there["cert:mail"] | {
        "days_left": certificates(stage, "mail")["cert:mail"]["days_left"]
    }
    assert certificates(stage, "shop")["cert:shop"]["serial"] != there["cert:shop"]["serial"]
    several_meant = stage.run("cert", "rollback", "--yes")
    assert (several_meant.code, "name the one" in several_meant.err) == (64, True)
    assert stage.run("cert", "rollback", "shop", "--yes").code == 0
    assert certificates(stage, "shop")["cert:shop"]["serial"] == there["cert:shop"]["serial"]
    unknown = stage.run("cert", "issue", "shpo", "--yes")
    assert (unknown.code, "it has: acme.example, mail, shop" in unknown.err) == (64, True)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("{Shop: {domains: [shop.acme.example]}}", "lower-case"),
        ("{../x: {domains: [shop.acme.example]}}", "lower-case"),
        ("{shop: {}}", "names no domains"),
        ("{acme.example: {domains: [shop.acme.example]}}", "take another name"),
        ("{shop: {domains: [shop.acme.example], key_type: dsa}}", "dsa"),
    ],
)
def test_a_certificate_that_cannot_be_meant_is_refused_with_its_line(stage: Stage, wrong: str, why: str) -> None:
    stage.environment(certificates=wrong)
    ran = stage.run("plan")
    assert (ran.code, why in ran.err, "acme.yaml:" in ran.err) == (64, True, True), ran.err


# -- several authorities ----------------------------------------------------------------------------------------------------


def test_an_authority_that_refuses_the_name_is_passed_over_and_the_output_says_so(
    stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("refusing")
    with resolver(stage.box.dns) as dns:
        asked = replace(stage.box, dns=dns)
        with pebble.running(pebble.PROGRAMS[0], folder, asked, "-strict=false", domainBlocklist=[ZONE]) as refusing:
            both = folder / "both.pem"
            both.write_text(refusing.ca_file.read_text() + stage.ca.ca_file.read_text())
            stage.environment(directory=f'["{refusing.directory}", "{stage.ca.directory}"]', ca_file=str(both))
            ran = stage.run("cert", "issue", "--yes")
            assert ran.code == 0, ran.err
            assert f"cert:{ZONE}: 127.0.0.1 is passed over: " in ran.err
            assert "rejectedIdentifier" in ran.err
            assert certificates(stage)[f"cert:{ZONE}"]["authority"] == stage.ca.directory
            assert stage.run("cert", "issue", "--yes").out.startswith("Nothing to do")
            renewed = stage.run("cert", "renew", "--force", "--yes")
            assert (renewed.code, "passed over" in renewed.err) == (0, False)  # it begins where it was issued
    assert stage.openssl_accepts(ZONE)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"directory": '["https://ca.example/dir", "http://ca.example/dir"]'}, "must be https"),
        ({"directory": "http://ca.example/dir"}, "must be https"),
        ({"provider": "[letsencrypt, letsencrpyt]", "directory": "null"}, 'did you mean "letsencrypt"'),
        (
            {"provider": "[zerossl, google]", "directory": "null", "eab": "{key_id: k, hmac_key: m}"},
            "say whose it is",
        ),
        (
            {"provider": "[zerossl, google]", "directory": "null", "eab": "{letsencrypt: {key_id: k, hmac_key: m}}"},
            "none of",
        ),
        ({"provider": "zerossl", "directory": "null", "eab": "{key_id: k}"}, "both needed"),
    ],
)
def test_authorities_that_cannot_be_meant_are_refused(stage: Stage, keys: dict[str, str], why: str) -> None:
    stage.environment(**keys)
    ran = stage.run("plan")
    assert (ran.code, why in ran.err) == (64, True), ran.err


# -- several chains ---------------------------------------------------------------------------------------------------------


def test_the_chain_that_ends_at_the_named_root_is_installed(stage: Stage) -> None:
    names = [root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for root in stage.ca.roots(2)]
    for number, name in enumerate(names):
        stage.environment(preferred_chain=f'"{name}"')
        assert stage.run("cert", "issue", "--yes", *(["--force"] if number else [])).code == 0
        chain = x509.load_pem_x509_certificates((stage.current / "fullchain.pem").read_bytes())
        assert chain[-1].issuer == stage.ca.roots(2)[number].subject
        assert verifies(stage, number)
        assert not verifies(stage, 1 - number)


def verifies(stage: Stage, root: int) -> bool:
    from cryptography.hazmat.primitives.serialization import Encoding

    file = stage.file.parent / "root.pem"
    file.write_bytes(stage.ca.roots(2)[root].public_bytes(Encoding.PEM))
    words = ["openssl", "verify", "-CAfile", str(file), "-untrusted", str(stage.current / "chain.pem")]
    return subprocess.run([*words, str(stage.current / "cert.pem")], capture_output=True, check=False).returncode == 0


def test_a_chain_nobody_offers_is_said_and_the_certificate_is_installed_all_the_same(stage: Stage) -> None:
    stage.environment(preferred_chain="No Such Root")
    ran = stage.run("cert", "issue", "--yes")
    assert (ran.code, "no chain ends at No Such Root" in ran.err) == (0, True)
    assert stage.openssl_accepts(ZONE)
