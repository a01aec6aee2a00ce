"""A live analysis held against the one before it: what is measured anew each time makes no finding new."""

from __future__ import annotations

from tests.cli.harness import DOMAIN, Shop


def test_a_second_look_at_the_same_zone_reports_nothing(acme: Shop) -> None:
    acme.environment("{type: A, value: 203.0.113.10, name: api}")
    acme.sandbox.edit(DOMAIN, add=[{"name": "leak", "type": "TXT", "address": "db password=hG7-kL2_qW9zT4"}])
    first = acme.run("analyze", "-o", "json")
    assert first.data["findings"]
    (acme.folder / "before.json").write_text(first.out)
    second = acme.run("analyze", "--baseline", str(acme.folder / "before.json"), "-o", "json")
    assert second.data["findings"] == []
    assert second.data["baseline"]["gone"] == []
