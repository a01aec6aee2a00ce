"""The SSL specialist: certificates, and who may issue them. Writes nothing."""

from __future__ import annotations

from sophia_cli.agents.base import Specialist


class SophiaSSLOptimizationAgent(Specialist):
    """Expiry, names, chains and protocols of certificates, and whether CAA lets them be renewed."""

    __slots__ = ()
    name = "ssl"
