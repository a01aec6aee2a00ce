"""The list of services: each entry can be recognised, none hides another, and only what anybody can claim is grave."""

from __future__ import annotations

import pytest

from sophia_cli.checks.takeover import SERVICES, Service, claimable, service_of


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_ending_leads_to_its_own_service(service: Service) -> None:
    for end in service.ends:
        assert end.startswith(".")
        assert service_of(f"acme{end}.") is service
        assert service_of(f"acme{end}".upper()) is service
    assert service_of("acme" + service.ends[0] + ".evil.test") is None


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_pages_are_compared_in_lower_case_and_closed_services_are_never_claimable(service: Service) -> None:
    assert service.page == service.page.lower()
    assert (claimable("acme" + service.ends[0]) is None) is (service.grade == "closed")
    assert service.grade != "closed" or not service.page


def test_a_host_that_only_ends_like_a_service_is_none_of_it() -> None:
    assert service_of("notgithub.io") is None
    assert service_of("github.io.example.com") is None
