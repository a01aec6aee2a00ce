"""Pulumi personal access tokens: listed, created and deleted by API. Sends a token nowhere but to its backend.

Source: https://www.pulumi.com/docs/reference/cloud-rest-api/access-tokens/ (`/api/user/tokens`) and `/api/user`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sophia_cli.core.errors import BadResponse, ProviderRefused
from sophia_cli.core.rotation import New, Rotation
from sophia_cli.providers.rotation.http import Api, field

DEFAULT_BACKEND = "https://api.pulumi.com"
LONGEST_LIFE = timedelta(days=730)
_HEADERS = {"Accept": "application/vnd.pulumi+8", "Content-Type": "application/json"}
_WHERE = "Pulumi Cloud"
_NAMED = "sophia rotation "


class PulumiToken:
    """The tokens of one user, who is whoever the acting token belongs to.

    A token's value is shown once. A token whose value was lost in a crash is known by its description, which names the
    rotation, and is deleted before another is made.
    """

    kind = "pulumi-token"
    lists = True

    def __init__(self, backend: str = DEFAULT_BACKEND, life: timedelta | None = None) -> None:
        self._api = Api(_WHERE, backend, _HEADERS)
        self._life = life

    async def refs(self, acting: str) -> Mapping[str, str]:
        """The ids of all tokens, each with the id of the rotation that made it."""
        _, answer = await self._api.call("GET", "/api/user/tokens", self._authorization(acting))
        tokens = field(answer, "tokens", list, _WHERE)
        return {field(one, "id", str, _WHERE): _made_by(one.get("description")) for one in tokens}

    async def create(self, rotation: Rotation, now: datetime, acting: str) -> New:
        """A new token beside the old one."""
        await self.abandon(rotation, acting)
        expires = 0 if self._life is None else int((now + min(self._life, LONGEST_LIFE)).timestamp())
        body = {"description": description(rotation), "expires": expires}
        _, answer = await self._api.call("POST", "/api/user/tokens", self._authorization(acting), body)
        return New(field(answer, "tokenValue", str, _WHERE), field(answer, "id", str, _WHERE))

    async def test(self, value: str) -> None:
        """Ask who the token is (GET /api/user)."""
        status, answer = await self._api.call("GET", "/api/user", self._authorization(value))
        if status == 404:
            raise BadResponse(f"{_WHERE}: /api/user is not there; is this the API's address?")
        field(answer, "githubLogin", str, _WHERE)

    async def revoke(self, value: str, ref: str) -> None:
        """Delete a token, acting with another; one that is gone already is no error."""
        if not ref or "/" in ref or ref.startswith("."):
            raise ProviderRefused(f"{ref!a} is not the id of a token")
        await self._api.call("DELETE", f"/api/user/tokens/{ref}", self._authorization(value))

    async def abandon(self, rotation: Rotation, acting: str) -> None:
        """Delete every token this rotation made: their values are not known or not wanted."""
        for ref, maker in (await self.refs(acting)).items():
            if maker == rotation.id:
                await self.revoke(acting, ref)

    @staticmethod
    def _authorization(token: str) -> str:
        return f"token {token}"


def description(rotation: Rotation) -> str:
    """What a token made by a rotation is called."""
    return f"{_NAMED}{rotation.id}"


def _made_by(text: object) -> str:
    return text.removeprefix(_NAMED) if isinstance(text, str) and text.startswith(_NAMED) else ""
