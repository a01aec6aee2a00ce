"""The DNS specialist: whether the zone says what its owner means. Writes nothing."""

from __future__ import annotations

from sophia_cli.agents.base import Specialist


class SophiaDNSIntelligenceAgent(Specialist):
    """Names, aliases, mail exchangers, TTLs, addresses and wildcards of a zone."""

    __slots__ = ()
    name = "dns"
