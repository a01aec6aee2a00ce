"""Planning the rotation of a secret: a new value beside the old one, then the end of the old one. Writes and shows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sophia_cli.core.changes import SECRET, UNKNOWN, Action, Change, ConfigValue
from sophia_cli.core.ports import EnvironmentFile, Planned
from sophia_cli.core.rotation import Seals
from sophia_cli.core.secret_versions import MARKED, MARKER, VALUE, SecretVersions, previous_path, text_path
from sophia_cli.core.settings import Settings
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.plan import Judged, assemble, judged, policy_of


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the two plans of a rotation."""

    judged: Judged
    versions: SecretVersions
    """What is to be valid once it is carried out."""

    @property
    def is_last(self) -> bool:
        """Whether the old value ends with it."""
        return self.versions.is_alone


async def plan_turn(
    path: str,
    port: Planned,
    file: EnvironmentFile,
    seals: Seals,
    settings: Settings,
    ground: Ground,
    overrides: Mapping[str, frozenset[str]] | None = None,
) -> Turn:
    """The judged plan of the next turn: the secret's own change, and the edits of the environment that go with it.

    In the first turn the environment takes the new value, which only applying makes, and keeps the old one beside it; in
    the second it forgets the old one. Raises `Refused` where the file does not hold the value itself.
    """
    part = await port.propose()
    (change,) = part.changes
    versions = change.after
    assert isinstance(versions, SecretVersions)
    snapshot = await file.read()
    edits = _forgetting(path, file, seals) if versions.is_alone else _taking(path, change, file, seals)
    changes = [change, *(replace(edit, target=file.id) for edit in edits)]
    plan = assemble(settings, [], changes, [], ground.clock.now(), files=[snapshot], parts=[part])
    policy = await policy_of(settings, ground.store, overrides)
    return Turn(await judged(plan, policy, [], ground.store, ground.clock.now()), versions)


def _taking(path: str, change: Change, file: EnvironmentFile, seals: Seals) -> Iterator[Change]:
    """The edits that install the new value, once it is made, and keep the old one beside it."""
    inner = text_path(path, file.source(path))
    standing, place = file.source(inner), previous_path(path)
    output = VALUE if inner != path else MARKED  # plain text until now: it becomes a secret
    before = ConfigValue(inner, SECRET, seals.seal(standing))
    why = "takes the new value, which is made first"
    yield _edit("update", before, ConfigValue(inner, UNKNOWN), why, takes=f"{change.target}#{output}")
    why, inner = "keeps the old value while both are valid", text_path(place, file.source(place))
    there = file.source(inner)  # of a rotation whose last edit was not made
    if there is None:
        yield _edit("create", None, ConfigValue(place, SECRET, seals.seal({MARKER: standing})), why)
    elif there != standing:
        old, beside = (ConfigValue(inner, SECRET, seals.seal(text)) for text in (there, standing))
        yield _edit("update", old, beside, why)


def _forgetting(path: str, file: EnvironmentFile, seals: Seals) -> Iterator[Change]:
    """The edit that removes the old value."""
    place = previous_path(path)
    standing = file.source(place)
    if standing is not None:
        yield _edit("delete", ConfigValue(place, SECRET, seals.seal(standing)), None, "the old value has ended")


def _edit(
    action: Action, before: ConfigValue | None, after: ConfigValue | None, why: str, takes: str | None = None
) -> Change:
    return Change("", "config.value", action, before, after, "user", why, takes=takes)
