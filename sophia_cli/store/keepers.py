"""Which machine keeps a certificate and its key, for those that share a state. Holds no key itself."""

from __future__ import annotations

from typing import Any

from sophia_cli.core.certificates import Keeper
from sophia_cli.store.directory import decoded
from sophia_cli.store.documents import Documents


class StoredKeepers:
    """`keepers/NAME`: who has the newest version. Implements `Keepers`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def keeper(self, name: str) -> Keeper | None:
        """Who keeps it; None when nobody said so."""
        data = await self._documents.read("keepers", name)
        if not data:  # who let go of it left an empty document
            return None
        return decoded(self._documents.place("keepers", name), data, Keeper.from_data)

    async def keep(self, name: str, keeper: Keeper | None) -> None:
        """Say so durably; None: whoever kept it does not any more."""

        def move(_: Any) -> Any:
            return {} if keeper is None else keeper.data()

        await self._documents.change(move, "keepers", name)
