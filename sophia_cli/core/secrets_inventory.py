"""The inventory of secrets: what each is, how old, when its rotation is due, and how it is rotated. Holds no value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sophia_cli.core.history import timestamp

DEFAULT_DAYS = 90

How = Literal["generated", "pulumi-token", "by hand", "never"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of secret: how its path or value looks, who gives it out, and how it is rotated."""

    name: str
    provider: str
    how: How
    path: str = ""
    value: str = ""
    steps: tuple[str, ...] = ()
    """What a person clicks, where no API does it."""


_AFTER = "put the new value into the environment (fn::secret), then run: sophia doctor"
KINDS: tuple[Kind, ...] = (
    Kind("Namecheap API key", "Namecheap", "by hand", r"(?i)namecheap.*\.?api_?key$", "", (
        "sign in at namecheap.com, open Profile > Tools > Business & Dev Tools > Namecheap API Access > MANAGE",
        "press RESET beside the API key, confirm with the password, and copy the new key", _AFTER)),
    Kind("Namecheap user name", "Namecheap", "never", r"(?i)namecheap.*(api_?user|user_?name)$"),
    Kind("mail address", "", "never", r"(?i)(e_?mail|alert_email)$"),
    Kind("Pulumi access token", "Pulumi Cloud", "pulumi-token", r"(?i)pulumi.*token$", r"^pul-[0-9a-f]{40}$"),
    Kind("OpenAI key", "OpenAI", "by hand", r"(?i)openai", r"^sk-", (
        "open platform.openai.com > Settings > API keys > Create new secret key, and copy it", _AFTER,
        "delete the old key on the same page once nothing uses it")),
    Kind("GitHub token", "GitHub", "by hand", r"(?i)(github|gh)_.*token$", r"^(gh[pousr]_|github_pat_)", (
        "open github.com > Settings > Developer settings > Personal access tokens > the token > Regenerate token",
        "copy the new token", _AFTER)),
    Kind("Lambda Cloud key", "Lambda", "by hand", r"(?i)lambda.*(key|token)$", "", (
        "open cloud.lambda.ai > API keys > Generate API key, and copy it", _AFTER,
        "delete the old key on the same page once nothing uses it")),
    Kind("AWS access key", "AWS", "by hand", r"(?i)aws.*(key|secret)", r"^(AKIA|ASIA)[A-Z0-9]{16}$", (
        "rotate it with a Pulumi ESC rotator (fn::rotate::aws-iam), or: aws iam create-access-key", _AFTER,
        "aws iam delete-access-key for the old one once nothing uses it")),
    Kind("API key of a service", "", "by hand", r"(?i)(api_?key|access_?key|client_?secret)$", "", (
        "make a new key where the old one was made", _AFTER, "end the old key once nothing uses it")),
    Kind("address", "", "never", r"(?i)(_ip|ip_address|_address|hostname|host)$", r"^[0-9.]+$|^[0-9a-fA-F:]+:[0-9a-fA-F:]*$"),
    Kind("password", "", "generated", r"(?i)(pass(word|wd|phrase)?|secret|token|salt|pepper|signing_key)$"),
    Kind("secret value", "", "generated"),
)  # fmt: skip

Where = Literal["environment", "git", "zone"]


@dataclass(frozen=True, slots=True)
class Held:
    """One secret of an environment as it was written. `value` is only looked at, never kept."""

    path: str
    value: str
    how: str
    file: str
    line: int
    is_own: bool = True
    """Whether the environment's own file holds the text, so that it can be replaced there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One secret of the inventory. `due` is the day its rotation is due."""

    path: str
    kind: Kind
    how: str
    file: str
    line: int
    since: datetime
    due: datetime
    now: datetime
    is_own: bool = True
    open_step: str | None = None

    @property
    def age_days(self) -> int:
        """Whole days since this value was first seen."""
        return max(0, (self.now - self.since).days)

    @property
    def is_due(self) -> bool:
        """Whether it should have been rotated by now."""
        return self.kind.how != "never" and self.now >= self.due

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.secrets/1`)."""
        return {
            "path": self.path,
            "kind": self.kind.name,
            "provider": self.kind.provider or None,
            "written": self.how,
            "file": self.file,
            "line": self.line,
            "first_seen": timestamp(self.since),
            "age_days": self.age_days,
            "due": None if self.kind.how == "never" else timestamp(self.due),
            "is_due": self.is_due,
            "rotation": self.kind.how
            if self.is_own or self.kind.how in ("by hand", "never")
            else "where it is written",
            "open_step": self.open_step,
            "steps": list(self.kind.steps),
        }


@dataclass(frozen=True, slots=True)
class Exposed:
    """A secret that lies open: in an environment file, in git, or in a TXT record. `place` says where, never what."""

    where: Where
    kind: str
    place: str
    length: int
    help: str

    def data(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "where": self.where,
            "kind": self.kind,
            "place": self.place,
            "length": self.length,
            "help": self.help,
        }


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything known of an environment's secrets. `not_tested` are places that were not looked at, with the reason."""

    entries: tuple[Entry, ...]
    exposed: tuple[Exposed, ...]
    not_tested: tuple[tuple[str, str], ...]
    days: int

    def data(self) -> dict[str, Any]:
        """The public shape (`sophia.secrets/1`)."""
        return {
            "rotation_days": self.days,
            "secrets": [entry.data() for entry in self.entries],
            "exposed": [one.data() for one in self.exposed],
            "not_tested": [{"id": id, "why": why} for id, why in self.not_tested],
            "summary": {
                "secrets": len(self.entries),
                "due": sum(entry.is_due for entry in self.entries),
                "exposed": len(self.exposed),
            },
        }


def kind_of(path: str, value: str) -> Kind:
    """What a secret is: by its value where that tells, else by its path."""
    by_value = next((kind for kind in KINDS if kind.value and re.search(kind.value, value)), None)
    if by_value is not None:
        return by_value
    return next(kind for kind in KINDS if not (kind.path or kind.value) or (kind.path and re.search(kind.path, path)))


def entries(
    held: Sequence[Held], since: Mapping[str, datetime], steps: Mapping[str, str], days: int, now: datetime
) -> tuple[Entry, ...]:
    """The inventory of what an environment holds, most urgent first. `steps` are those of open rotations, by path."""
    found = [
        Entry(one.path, kind_of(one.path, one.value), one.how, one.file, one.line, since[one.path],
              since[one.path] + timedelta(days=days), now, one.is_own, steps.get(one.path))
        for one in held
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda entry: (entry.kind.how == "never", entry.due, entry.path)))
