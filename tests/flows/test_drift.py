"""What heal may believe of DNS alone: never that of servers which may lag behind a write of our own."""

from __future__ import annotations

from pathlib import Path

from tests.cli.harness import shop

HERE = "{type: A, name: api, value: 203.0.113.10, ttl: 1800}"
MOVED = HERE.replace("203.0.113.10", "203.0.113.99")
MAIL = "email_type: MX"
MX = "{type: MX, name: '@', value: mail.acme.example., priority: 10, ttl: 1800}"


def test_a_zone_that_a_run_wrote_since_is_read_by_api_though_its_servers_show_what_is_wanted(tmp_path: Path) -> None:
    with shop(tmp_path) as acme:
        acme.environment(HERE, MX, dns=MAIL)
        assert acme.run("heal").code == 0
        acme.sandbox.control(forget=True)
        assert acme.run("heal").code == 0
        assert acme.sandbox.calls() == []  # DNS alone is enough now

        acme.environment(MOVED, MX, dns=MAIL)
        assert acme.run("deploy", "--yes").code == 0
        acme.environment(HERE, MX, dns=MAIL)  # as it was when the API was last read ...
        acme.sandbox.fault("dns_lag", seconds=3600, count=None)  # ... and as lagging servers still show it
        acme.sandbox.control(forget=True)
        ran = acme.run("heal")
        assert "getHosts" in acme.sandbox.calls()
        assert ran.code == 2, ran.out + ran.err
        assert "A api" in ran.out
