"""Where the state of a command lies, and what is kept there. Evaluates no environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sophia_cli.cli.actor import actor, origin
from sophia_cli.cli.clock import SystemClock
from sophia_cli.cli.environments import cloud_address, environment_path
from sophia_cli.cli.options import Common
from sophia_cli.cli.redaction import learn
from sophia_cli.core.errors import InvalidEnvironment
from sophia_cli.core.ports import Store
from sophia_cli.core.rotation import Rotations
from sophia_cli.core.settings import Settings
from sophia_cli.flows.events import Stream

if TYPE_CHECKING:
    from sophia_cli.core.issuance import CertificateStore, Keepers, Renewals
    from sophia_cli.core.learning import Lessons
    from sophia_cli.core.trends import Measurements
    from sophia_cli.store.documents import Documents
    from sophia_cli.store.secrets import FileSeals


def state_dir(common: Common, environment_file: str | None) -> Path:
    """The local part of the state: `--state DIR`, else `.sophia/` beside the environment file, else the user's."""
    from sophia_cli.store.open import is_url

    if common.state is not None and not is_url(common.state):
        return Path(common.state)
    if environment_file is not None:
        return Path(environment_file).absolute().parent / ".sophia"
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "sophia"


def state_place(common: Common, local: Path) -> str | Path:
    """Where the state is kept: a server that a team shares (`--state redis://...`), else the local directory."""
    from sophia_cli.store.open import is_url

    return common.state if common.state is not None and is_url(common.state) else local


def documents_at(common: Common, local: Path) -> Documents:
    """The small documents of the state, on the server where it is shared. Opens nothing before it is used."""
    from sophia_cli.store.open import open_documents

    return open_documents(state_place(common, local))


def rotations_of(documents: Documents, environment: str) -> Rotations:
    """What the state knows of an environment's secrets."""
    from sophia_cli.store.secrets import StoredRotations

    return StoredRotations(documents, environment)


def keepers_of(documents: Documents, place: str | Path) -> Keepers | None:
    """Who keeps which certificate; None where the state is this machine's alone, and so are the certificates."""
    from sophia_cli.store.keepers import StoredKeepers
    from sophia_cli.store.open import is_url

    return StoredKeepers(documents) if is_url(place) else None


def renewals_of(documents: Documents) -> Renewals:
    """Schedules of certificates, and what was spent at their authorities."""
    from sophia_cli.store.renewals import StoredRenewals

    return StoredRenewals(documents)


def seals_of(state: Path) -> FileSeals:
    """Keyed digests of secret values; their key stays in the local part of the state."""
    from sophia_cli.store.directory import Directory
    from sophia_cli.store.secrets import FileSeals

    return FileSeals(Directory(state))


def measurements_of(documents: Documents) -> Measurements:
    """Measurements of endpoints and name servers."""
    from sophia_cli.store.measurements import StoredMeasurements

    return StoredMeasurements(documents)


def lessons_of(documents: Documents) -> Lessons:
    """People's answers to proposals."""
    from sophia_cli.store.learning import StoredLessons

    return StoredLessons(documents)


def certificate_root(settings: Settings, state: Path) -> Path:
    """Where certificates are kept: `ssl.store`, from the environment's folder on, else in the local state."""
    if settings.ssl.store is None:
        return state / "certificates"
    return (
        state.parent if settings.writable is None else Path(settings.writable).absolute().parent
    ) / settings.ssl.store


def certificate_store(settings: Settings, state: Path) -> CertificateStore:
    """The certificates on disk."""
    from sophia_cli.store.certificates import CertificateFiles

    return CertificateFiles(certificate_root(settings, state))


@dataclass(frozen=True, slots=True)
class LocalState:
    """The state alone, for commands that need no provider."""

    root: Path
    shown: str
    """Where the state is, as it may be printed."""
    store: Store
    documents: Documents
    stream: Stream


def local_state(common: Common, *, strict: bool = False) -> LocalState:
    """The state of the environment a command means, without evaluating it; the user's own when there is none.

    Raises `InvalidEnvironment` when several files could be meant, and, with `strict`, when the named file is not there.
    """
    file: str | None = None
    if cloud_address(common.env) is None:
        try:
            path = environment_path(common)
            if strict and not path.is_file():
                raise InvalidEnvironment(f"{path}: there is no such environment file", hint="name one with -e FILE")
            file = str(path)
        except InvalidEnvironment as exc:
            if strict or exc.details.get("candidates"):
                raise
    from sophia_cli.store.open import open_state, secrets_of_state, shown_state

    clock, root = SystemClock(), state_dir(common, file)
    place = state_place(common, root)
    learn(set(secrets_of_state(place)))
    store = open_state(place, clock, root)
    stream = Stream(actor(), clock, (store.audit.append,), origin=origin(os.environ))
    return LocalState(root, shown_state(place), store, documents_at(common, root), stream)
