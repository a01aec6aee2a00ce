"""Records of ours that prove control of a name: they outlive a purge, and only the flow that made them takes them away."""

from __future__ import annotations

import pytest

from sophia_cli.core.certificates import CHALLENGE_SOURCE, STANDING_SOURCE
from sophia_cli.core.plan import diff_zone
from tests.builders import a, desired, owned, txt, zone

PROOF = txt("x" * 43, "_acme-challenge")


@pytest.mark.parametrize("source", [CHALLENGE_SOURCE, STANDING_SOURCE])
def test_a_purge_keeps_what_proves_control_and_deletes_the_rest(source: str) -> None:
    live = zone(a("api"), a("stray"), PROOF)
    diff = diff_zone(desired(a("api"), purge=True), live, owned(PROOF, by=source))
    assert [(change.action, change.before) for change in diff.changes] == [("delete", a("stray"))]
    assert [kept.record for kept in diff.kept] == [PROOF]


def test_a_record_of_that_form_that_we_did_not_make_is_purged_like_any_other() -> None:
    diff = diff_zone(desired(a("api"), purge=True), zone(a("api"), PROOF), owned())
    assert [change.before for change in diff.changes] == [PROOF]
