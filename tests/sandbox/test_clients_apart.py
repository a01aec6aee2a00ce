"""Checklist 50, the clients that cannot share sophia's environment: `make test-clients` installs them into `.clients`.

certbot-dns-namecheap 1.0.0 imports and works with certbot 5.8, but brings certbot and fifteen packages more.
ncssl-api-client 1.0.3 asks for enum34, which shadows the standard library's `enum` in build environments, so it is
installed without its dependencies. @rqt/namecheap 2.4.2 (npm) has no option for the host; its driver writes it into a copy.
Not run: lego, dnscontrol, the Terraform provider and libdns are Go programs, acme.sh is no package of an index.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sandbox_api import Api

from sophia_cli.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "clients"
PYTHON = ROOT / ".clients" / "python" / "bin" / "python"
NPM = ROOT / ".clients" / "npm" / "node_modules" / "@rqt" / "namecheap"

NCSSL_SETTINGS = """
client:
  url: {{production: '{endpoint}', sandbox: '{endpoint}'}}
  headers: {{Content-Type: application/x-www-form-urlencoded}}
  general:
    production: &account {{ApiUser: {user}, UserName: {user}, ApiKey: {key}, ClientIp: 127.0.0.1}}
    sandbox: *account
command:
  create: {{Command: namecheap.ssl.create, Type: PositiveSSL, Years: 1}}
  activate: {{Command: namecheap.ssl.activate, AdminEmailAddress: ops@example.com, WebServerType: nginx, csr: null}}
  getinfo: {{Command: namecheap.ssl.getInfo, CertificateID: null}}
  getlist: {{Command: namecheap.ssl.getList, ListType: ALL, SortBy: Host_Name, PageSize: 100}}
  renew: {{Command: namecheap.ssl.renew, CertificateID: null, Years: 1, SSLType: null}}
  reissue: {{}}
  revoke: {{}}
  retry_dcv: {{}}
  get_email_list: {{}}
"""


def needs(there: Path, *programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    reason = f"needs {missing[0]}" if missing else f"{there.relative_to(ROOT)} is not installed: make test-clients"
    return pytest.mark.skipif(bool(missing) or not there.exists(), reason=reason)


def run(*words: str | Path, home: Path) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs(PYTHON)
def test_50_the_certbot_plugin_sets_a_challenge_and_takes_it_away(box: Sandbox, api: Api, tmp_path: Path) -> None:
    def step(name: str) -> None:
        run(PYTHON, DRIVERS / "certbot_hook.py", box.endpoint, box.api_user, box.api_key, tmp_path, name, home=tmp_path)

    before = api.triples()
    step("perform")
    assert set(api.triples()) - set(before) == {("_acme-challenge.www", "TXT", "challenge+&%")}
    step("cleanup")
    assert api.triples() == before


@pytest.fixture
def ncssl(box: Sandbox, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """ncsslapi in a home of its own: gives the CommandResponse of one command."""
    for name, text in {
        "api": NCSSL_SETTINGS.format(endpoint=box.endpoint, user=box.api_user, key=box.api_key),
        "crypto": "csr_subject: {C: US, ST: CA, L: LA, O: Example, CN: null}\nkey_size: 2048\n"
        "key_encryption_algorithm: '-aes256'\n",
    }.items():
        folder = tmp_path / "ncsslapi" / "config" / name
        folder.mkdir(parents=True)
        (folder / "settings.yaml").write_text(text)
    (tmp_path / "ncsslapi" / "certs").mkdir()

    def command(*words: str) -> dict[str, Any]:
        code = "from ncssl_api_client.__main__ import main_cli_wrapper; main_cli_wrapper()"
        said = run(PYTHON, "-c", code, *words, "-sb", "-json", home=tmp_path)
        found: dict[str, Any] = json.loads(said[said.index("{") :])
        return found

    return command


@needs(PYTHON, "openssl")
def test_50_ncsslapi_buys_activates_reads_and_lists_a_certificate(
    ncssl: Callable[..., dict[str, Any]], box: Sandbox
) -> None:
    created = ncssl("create")["SSLCreateResult"]["SSLCertificate"]
    assert (created["@Status"], created["@SSLType"]) == ("NewPurchase", "Standard SSL")
    identity = created["@CertificateID"]
    activated = ncssl("activate", "-cn", "WWW.example.com", "-id", identity, "-dns")["SSLActivateResult"]
    asked = activated["DNSDCValidation"]["DNS"]
    assert asked["@domain"] == "www.example.com"  # what openssl put into the request
    assert asked["HostName"].startswith("_")
    assert asked["HostName"].endswith(".www.example.com")
    box.control(advance_s=61)
    info = ncssl("getinfo", "-id", identity)["SSLGetInfoResult"]
    assert (info["@Status"], info["CertificateDetails"]["CommonName"]) == ("active", "www.example.com")
    listed = ncssl("getlist")["SSLListResult"]["SSL"]
    assert (listed["@CertificateID"], listed["@HostName"], listed["@Status"]) == (identity, "www.example.com", "active")


@needs(NPM, "node")
def test_50_the_npm_client_lists_adds_and_deletes(box: Sandbox, api: Api, tmp_path: Path) -> None:
    shutil.copytree(NPM, tmp_path / "namecheap")
    before = api.triples()
    said = json.loads(
        run("node", DRIVERS / "rqt.js", tmp_path / "namecheap", box.endpoint, box.api_user, box.api_key, home=tmp_path)
    )
    assert ([item["Name"] for item in said["domains"]], said["TotalItems"]) == (["example.com"], 1)
    assert said["info"]["DnsDetails"]["ProviderType"] == "FREE"
    assert {item["Domain"]: item["Available"] for item in said["taken"]} == {"example.com": False, "free.com": True}
    rows = {
        name: [(row["Name"], row["Type"], row["Address"]) for row in said[name]] for name in ("hosts", "after", "back")
    }
    assert rows["hosts"] == before
    assert ("test", "TXT", "a+b&amp;c d") in rows["after"]  # it leaves XML's escapes as they are
    assert rows["back"] == api.triples() == before
