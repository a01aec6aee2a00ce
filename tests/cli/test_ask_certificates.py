"""`sophia ask` about certificates: issued and renewed behind the same gate, by a real Pebble over the sandbox's zones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sophia_cli.sandbox import Sandbox
from tests.cli.certificate_stage import ZONE, Stage, put_back, servers
from tests.providers.acme import pebble
from tests.providers.acme.pebble import Pebble

pytestmark = [pytest.mark.server, pytest.mark.skipif(not pebble.PROGRAMS, reason=pebble.MISSING)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Pebble, Path]]:
    with servers(tmp_path_factory.mktemp("servers")) as found:
        yield found


@pytest.fixture
def stage(shared: tuple[Sandbox, Pebble, Path], work: Path) -> Stage:
    box, ca, data = shared
    put_back(data)
    found = Stage(box, ca, data, work / "acme.yaml")
    found.environment()
    return found


def test_a_certificate_is_issued_on_a_sentence_when_it_is_agreed_to(stage: Stage) -> None:
    planned = stage.run("ask", f"issue a certificate for {ZONE}", "-o", "json")
    assert (planned.code, planned.data["command"]) == (0, "sophia cert issue")
    (change,) = planned.data["plan"]["changes"]
    assert (change["kind"], change["target"]) == ("cert.issue", f"cert:{ZONE}")
    assert (planned.data["runs"], stage.listed()["installed"]) == ([], None)
    done = stage.run("ask", f"issue a certificate for {ZONE}", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert done.data["runs"][0]["outcome"] == "applied"
    assert stage.openssl_accepts(ZONE)
    asked = stage.run("ask", f"when does the certificate of {ZONE} expire?", "-o", "json")
    assert asked.code == 0, (asked.data, asked.err)
    assert f"Installed for {ZONE}" in asked.data["answer"]
    assert asked.data["evidence"][0] == f"cert:{ZONE}:{stage.listed()['installed']['serial']}"
    again = stage.run("ask", f"renew the certificate for {ZONE}", "-o", "json")
    assert (again.code, again.data["plan"]) == (0, None)
    assert "is as wanted and valid until" in again.data["answer"]
    assert again.data["evidence"] == [f"cert:{ZONE}:{stage.listed()['installed']['serial']}"]
    stage.age(80)
    due = stage.run("ask", f"renew the certificate for {ZONE}", "--yes", "-o", "json")
    assert due.code == 0, due.err
    assert [one["kind"] for one in due.data["plan"]["changes"]] == ["cert.renew"]
    assert due.data["runs"][0]["outcome"] == "applied"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (f"renew the certificate for {ZONE}", "has no certificate that could be renewed"),
        (f"issue a certificate for api.{ZONE}", f"ssl.domains does not name api.{ZONE}"),
        (f"get a certificate for {ZONE} from zerossl", "not zerossl"),
    ],
)
def test_a_refusal_names_what_is_missing(stage: Stage, text: str, missing: str) -> None:
    ran = stage.run("ask", text, "--yes", "-o", "json")
    assert (ran.code, ran.data["runs"]) == (3, []), ran.err
    assert missing in ran.data["refused"]
    assert stage.listed()["installed"] is None
