"""The security specialist: mail forgery, takeovers, CAA, secrets in public. Writes nothing."""

from __future__ import annotations

from sophia_cli.agents.base import Specialist


class SophiaSecurityAgent(Specialist):
    """SPF, DKIM, DMARC, MTA-STS, CAA, DNSSEC, dangling names, published secrets and the registrar lock."""

    __slots__ = ()
    name = "security"
