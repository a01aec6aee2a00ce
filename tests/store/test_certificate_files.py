"""Certificates on disk: key and chain switch together, wrong pairs never get there, a killed install leaves no trace."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sophia_cli.core.certificates import CertificateOrder, ChallengeRecord, Installed, PendingOrder
from sophia_cli.core.errors import BadResponse, Refused, StateError
from sophia_cli.store.certificates import KEPT_VERSIONS, CertificateFiles
from tests.certificates import NOW, Signer, facts, new_key

NAME = "acme.example"


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    return CertificateFiles(tmp_path / "certificates")


def install(files: CertificateFiles, number: int, signer: Signer | None = None) -> Installed:
    signer = signer or Signer()
    key, pem = new_key()
    leaf = signer.leaf(key.public_key(), NAME)
    installed = facts(leaf, f"2026112{number}T000000000-aa")

    async def steps() -> None:
        await files.save_pending_key(NAME, pem)
        await files.install(NAME, leaf + signer.pem, installed)
        await files.drop_pending(NAME)

    asyncio.run(steps())
    return installed


def belong_together(folder: Path) -> bool:
    """Whether the key and the chain of one resolved folder match."""
    leaf = x509.load_pem_x509_certificate((folder / "fullchain.pem").read_bytes())
    key = load_pem_private_key((folder / "privkey.pem").read_bytes(), None)
    return leaf.public_key() == key.public_key()


def test_what_is_installed_is_current_and_private(files: CertificateFiles) -> None:
    installed = install(files, 1)
    paths = files.paths(NAME)
    assert asyncio.run(files.state(NAME)).installed == installed
    assert belong_together(paths["folder"])
    assert stat.S_IMODE(paths["key"].stat().st_mode) == 0o600
    for folder in (paths["folder"].resolve(), *paths["folder"].resolve().parents[:3]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert paths["fullchain"].read_text() == paths["certificate"].read_text() + paths["chain"].read_text()


def test_a_certificate_for_another_key_never_gets_there(files: CertificateFiles) -> None:
    before = install(files, 1)
    signer, (_, pem), (other, _) = Signer(), new_key(), new_key()
    leaf = signer.leaf(other.public_key(), NAME)
    asyncio.run(files.save_pending_key(NAME, pem))
    with pytest.raises(BadResponse, match="another key"):
        asyncio.run(files.install(NAME, leaf + signer.pem, facts(leaf, "20261122T000000000-bb")))
    assert asyncio.run(files.state(NAME)).installed == before


def test_names_that_were_not_asked_for_and_broken_chains_never_get_there(files: CertificateFiles) -> None:
    signer, (key, pem) = Signer(), new_key()
    leaf = signer.leaf(key.public_key(), NAME)
    asyncio.run(files.save_pending_key(NAME, pem))
    wrong = facts(signer.leaf(key.public_key(), "other.example"), "20261122T000000000-bb")
    with pytest.raises(BadResponse, match=r"is for acme\.example, not for other\.example"):
        asyncio.run(files.install(NAME, leaf + signer.pem, wrong))
    with pytest.raises(BadResponse, match="hold together"):
        asyncio.run(files.install(NAME, leaf + Signer().pem, facts(leaf, "20261122T000000000-bb")))
    with pytest.raises(BadResponse):
        asyncio.run(files.install(NAME, "no certificate at all", facts(leaf, "20261122T000000000-bb")))
    assert asyncio.run(files.versions(NAME)) == ()


def test_a_reader_always_finds_a_key_and_a_chain_that_match(files: CertificateFiles) -> None:
    install(files, 0)
    current, wrong, done = files.paths(NAME)["folder"], [], threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                if not belong_together(current.resolve()):
                    wrong.append("mismatch")
            except (OSError, ValueError) as exc:
                wrong.append(repr(exc))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 5):
        install(files, number)
    done.set()
    reader.join()
    assert wrong == []


def test_old_versions_are_kept_up_to_a_number_and_can_be_gone_back_to(files: CertificateFiles) -> None:
    installed = [install(files, number) for number in range(KEPT_VERSIONS + 2)]
    kept = asyncio.run(files.versions(NAME))
    assert kept == tuple(reversed(installed[-KEPT_VERSIONS:]))
    asyncio.run(files.switch(NAME, kept[1].version))
    assert asyncio.run(files.state(NAME)).installed == kept[1]
    assert belong_together(files.paths(NAME)["folder"])
    with pytest.raises(Refused, match="not kept"):
        asyncio.run(files.switch(NAME, installed[0].version))


def test_the_current_version_is_never_pruned(files: CertificateFiles) -> None:
    first = install(files, 0)
    signer = Signer()
    for number in range(1, KEPT_VERSIONS + 1):
        install(files, number, signer)
    asyncio.run(files.switch(NAME, asyncio.run(files.versions(NAME))[-1].version))
    current = asyncio.run(files.state(NAME)).installed
    assert current is not None
    assert first not in asyncio.run(files.versions(NAME))
    files._prune(NAME)
    assert asyncio.run(files.state(NAME)).installed == current


def test_an_install_killed_before_its_switch_changes_nothing_and_is_done_again(
    files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, signer, (key, pem) = install(files, 1), Signer(), new_key()
    leaf = signer.leaf(key.public_key(), NAME)
    installed = facts(leaf, "20261125T000000000-cc")
    asyncio.run(files.save_pending_key(NAME, pem))
    replace, calls = os.replace, []

    def dying(source: str, target: str) -> None:
        calls.append(str(target))
        if str(target).endswith("current"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(files.install(NAME, leaf + signer.pem, installed))
    monkeypatch.undo()
    assert asyncio.run(files.state(NAME)).installed == before
    asyncio.run(files.install(NAME, leaf + signer.pem, installed))
    assert asyncio.run(files.state(NAME)).installed == installed
    folder = files.paths(NAME)["folder"].parent
    assert not [path for path in folder.rglob("*") if ".new" in path.name]


def test_the_order_under_way_survives_with_its_key_apart(files: CertificateFiles) -> None:
    order = CertificateOrder.of(["*.acme.example", "acme.example"], "https://ca.example/dir", profile="classic")
    record = ChallengeRecord("acme.example", "_acme-challenge.acme.example", "x" * 43, "acme.example")
    pending = PendingOrder(order, NOW, "ops@host", "https://ca.example/order/1", (record,), "aa.bb")
    _, pem = new_key()
    asyncio.run(files.save_pending(NAME, pending))
    asyncio.run(files.save_pending_key(NAME, pem))
    again = CertificateFiles(files.paths(NAME)["folder"].parents[1])
    assert asyncio.run(again.pending(NAME)) == pending
    assert asyncio.run(again.pending_key(NAME)) == pem
    assert "PRIVATE" not in (files.paths(NAME)["folder"].parent / "pending" / "order.json").read_text()
    asyncio.run(again.drop_pending(NAME))
    assert asyncio.run(files.pending(NAME)) is None
    assert asyncio.run(files.pending_key(NAME)) is None


def test_a_store_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("a file in the way")
    files = CertificateFiles(tmp_path / "certificates")
    with pytest.raises(StateError, match="certificates"):
        asyncio.run(files.save_pending_key(NAME, new_key()[1]))


def test_facts_of_another_program_are_an_error_that_names_the_file(files: CertificateFiles) -> None:
    install(files, 1)
    (files.paths(NAME)["folder"] / "certificate.json").write_text('{"hello": 1}')
    with pytest.raises(StateError, match=r"certificate\.json"):
        asyncio.run(files.state(NAME))
