"""Which address to send as ClientIp: chosen by where the program runs. Asks nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sophia_cli.core.errors import UsageError

_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\Z")
_SECTION = "namecheap.client_ip_detection"


def context(environ: Mapping[str, str]) -> str:
    """`github_actions`, `pulumi_cloud` (Pulumi Deployments) or `local_dev`, by the variables that each sets."""
    if environ.get("GITHUB_ACTIONS", "").lower() == "true":
        return "github_actions"
    if "pulumi" in environ.get("PULUMI_CI_SYSTEM", "").lower() or any(
        name.startswith("PULUMI_DEPLOYMENT") and value for name, value in environ.items()
    ):
        return "pulumi_cloud"
    return "local_dev"


def client_ip(client_ips: Mapping[str, str], environ: Mapping[str, str], *, loopback: bool = False) -> str:
    """The address for this context, else the fallback's; for a loopback endpoint 127.0.0.1 when neither is given.

    Raises UsageError (64). Namecheap looks at the address that a call comes from; the parameter must be there and be IPv4.
    """
    here = context(environ)
    for key in (here, "fallback"):
        value = str(client_ips.get(key) or "").strip()
        if not value:
            continue
        if not _QUAD.match(value):
            raise UsageError(
                f"{_SECTION}.{key}: not an IPv4 address",
                hint="Namecheap takes IPv4 only; write the public address that calls from there come from",
                details={"path": f"{_SECTION}.{key}"},
            )
        return value
    if loopback:
        return "127.0.0.1"
    raise UsageError(
        f"{_SECTION}: no address for {here}, and no fallback",
        hint=f"set {_SECTION}.{here} or {_SECTION}.fallback to the public IPv4 address of this machine",
        details={"path": f"{_SECTION}.{here}"},
    )
