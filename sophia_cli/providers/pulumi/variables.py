"""The environment variables a child of ours gets: what it needs and no more. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Mapping

# What any program needs to run and to reach the outside; no credential is among them.
NEEDED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
PULUMI = "PULUMI_"
# Of Pulumi's own variables these are set by us, or hold a credential that only Pulumi Cloud needs.
WITHHELD = frozenset(
    {
        *("PULUMI_ACCESS_TOKEN", "PULUMI_HOME", "PULUMI_BACKEND_URL", "PULUMI_STACK", "PULUMI_DEBUG_COMMANDS"),
        *("PULUMI_DEV", "PULUMI_API", "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK", "PULUMI_TRACE_TAGS"),
    }
)
# Which clouds a backend or a secrets provider logs in to (Pulumi, "DIY backends" and "Secrets providers").
CLOUDS: Mapping[str, tuple[str, ...]] = {
    "s3": ("AWS_",),
    "awskms": ("AWS_",),
    "gs": ("GOOGLE_", "CLOUDSDK_"),
    "gcpkms": ("GOOGLE_", "CLOUDSDK_"),
    "azblob": ("AZURE_", "ARM_"),
    "azurekeyvault": ("AZURE_", "ARM_"),
    "hashivault": ("VAULT_",),
}
OURS: Mapping[str, str] = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
    "NO_COLOR": "1",
}


def child_environment(
    process: Mapping[str, str],
    own: Mapping[str, str],
    *,
    backend: str | None,
    secrets_provider: str | None,
    through: frozenset[str] = frozenset(),
    forced: Mapping[str, str],
) -> dict[str, str]:
    """The whole environment of a child.

    `process` is ours, of which only the needed part passes; `through` names more of it that may. `own` are the ESC
    environment's `environmentVariables`, laid over that; `forced` (the home, the backend, the passphrase) wins over all.
    """
    clouds = tuple(
        prefix
        for url in (backend, secrets_provider)
        if url is not None
        for prefix in CLOUDS.get(url.partition("://")[0], ())
    )
    passed = {
        name: value
        for name, value in process.items()
        if name in NEEDED
        or name in through
        or (name.startswith(PULUMI) and name not in WITHHELD)
        or (clouds and name.startswith(clouds))
    }
    return {**passed, **own, **OURS, **forced}
