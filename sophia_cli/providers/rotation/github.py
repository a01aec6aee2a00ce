"""GitHub Actions secrets: copies of a value, sealed so that only GitHub can read them. They are never read back.

Source: https://docs.github.com/en/rest/actions/secrets and https://docs.github.com/en/rest/guides/encrypting-secrets-for-the-rest-api
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re

from pydantic import SecretStr

from sophia_cli.core.errors import BadResponse, NotInAccount, UsageError
from sophia_cli.providers.rotation.http import Api, field

DEFAULT_API = "https://api.github.com"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_TARGET = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,38})/([A-Za-z0-9._-]{1,100})[:/]([A-Za-z_][A-Za-z0-9_]{0,99})\Z")
_WHERE = "GitHub"


class GitHubSecret:
    """One secret of a repository: `OWNER/REPO:NAME`. It can be written and dated, never read."""

    def __init__(self, target: str, token: SecretStr, api: str = DEFAULT_API) -> None:
        found = _TARGET.match(target)
        if found is None or found.group(2) in (".", ".."):
            raise UsageError(f"--github {target}: write OWNER/REPO:NAME, such as acme/site:PULUMI_ACCESS_TOKEN")
        owner, repository, self._secret = found.groups()
        if self._secret.upper().startswith("GITHUB_"):
            raise UsageError(f"--github {target}: GitHub takes no secret whose name begins with GITHUB_")
        self._base = f"/repos/{owner}/{repository}/actions/secrets"
        self._token = token
        self._api = Api(_WHERE, api, _HEADERS)
        self.name = f"github:{owner}/{repository}:{self._secret}"

    async def mark(self) -> str:
        """When the secret was last written (`updated_at`); empty when it is not there."""
        status, answer = await self._api.call("GET", f"{self._base}/{self._secret}", self._authorization())
        return "" if status == 404 else str(field(answer, "updated_at", str, _WHERE))

    async def put(self, value: str) -> None:
        """Seal the value for the repository's public key (libsodium `crypto_box_seal`) and store it."""
        status, answer = await self._api.call("GET", f"{self._base}/public-key", self._authorization())
        if status == 404:
            raise NotInAccount(f"{self.name}: the repository is not there, or the token may not see its secrets")
        key, key_id = field(answer, "key", str, _WHERE), field(answer, "key_id", str, _WHERE)
        sealed = await asyncio.to_thread(_sealed, value, key)
        body = {"encrypted_value": sealed, "key_id": key_id}
        status, _ = await self._api.call("PUT", f"{self._base}/{self._secret}", self._authorization(), body)
        if status == 404:
            raise NotInAccount(f"{self.name}: the token may not write secrets of this repository")

    def _authorization(self) -> str:
        return f"Bearer {self._token.get_secret_value()}"


def _sealed(value: str, key: str) -> str:
    from nacl.exceptions import CryptoError
    from nacl.public import PublicKey, SealedBox

    try:
        box = SealedBox(PublicKey(base64.b64decode(key, validate=True)))
    except (CryptoError, binascii.Error, ValueError, TypeError) as exc:
        raise BadResponse(f"{_WHERE}: the repository's public key cannot be used") from exc
    return base64.b64encode(box.encrypt(value.encode())).decode()
