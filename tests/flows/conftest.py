"""A zone of five records under an environment that manages two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import OTHER_IP, a, desired, mx, settings_of, txt, zone
from tests.memory import World

LIVE = zone(a("api"), a("www"), mx(), txt("v=spf1 mx -all"), txt("kept"), email_type="MX")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """api is to move and new is to be made; www, MX and TXT are nobody's."""
    return World.of(tmp_path / "state", settings_of(desired(a("api", OTHER_IP), a("new")), max_percent=100), LIVE)
