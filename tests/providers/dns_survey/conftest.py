"""The little internet, started once for all tests that look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.providers.dns_survey.servers import missing
from tests.providers.dns_survey.world import World, world


@pytest.fixture(scope="session")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())} (make test-servers)")
    with world(tmp_path_factory.mktemp("internet")) as found:
        yield found
