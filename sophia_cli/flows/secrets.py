"""The inventory of an environment's secrets, and where some lie open. Keeps keyed digests only, and shows no value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sophia_cli.core.dns import mail_policy
from sophia_cli.core.leaks import secrets_in
from sophia_cli.core.rotation import Rotations
from sophia_cli.core.secrets_inventory import DEFAULT_DAYS, Exposed, Held, Inventory, entries
from sophia_cli.core.settings import Settings

# Keys whose plain value is a secret whatever it looks like; `_file`, `_path` and such name places of secrets.
_SECRET_KEY = re.compile(
    r"(?i)(^|_)(pass(word|wd|phrase)?|secret|token|api_?key|access_?key|private_?key|client_?secret|credentials?)$"
)
_SHORTEST = 6
_PLAIN_MARKED = re.compile(r"""fn::secret["']?\s*:\s*["']?([^\s"'{}#,][^"'{}#,]{5,})""")
_REFERENCE = re.compile(r"\$\{[^}]*\}")


@dataclass(frozen=True, slots=True, repr=False)
class Line:
    """A line of some file that may hold a secret: where it stands, and its text (never shown)."""

    place: str
    text: str


async def inventory(
    settings: Settings,
    held: Sequence[Held],
    plain: Sequence[Held],
    lines: Iterable[Line],
    not_tested: Sequence[tuple[str, str]],
    rotations: Rotations,
    now: datetime,
) -> Inventory:
    """Everything known: `held` are secrets marked as such, `plain` all other texts, `lines` those of the git history."""
    days = settings.security.secret_rotation_days or DEFAULT_DAYS
    since = await rotations.first_seen({one.path: one.value for one in held}, now)
    steps = {}
    for one in held:
        last = await rotations.load(one.path)
        if last is not None and last.step != "done":
            steps[one.path] = last.step
    exposed = [*_in_plain(plain), *_in_zones(settings), *in_history(lines)]
    return Inventory(entries(held, since, steps, days, now), tuple(exposed), tuple(not_tested), days)


def _in_plain(plain: Iterable[Held]) -> Iterable[Exposed]:
    """Values that look like secrets, or stand under a key that says so, and are not marked `fn::secret`."""
    for one in plain:
        key = re.split(r"[.\[\]\"]+", one.path.rstrip('"]'))[-1]
        found = [kind for kind, _ in secrets_in(one.value)]
        if not found and _SECRET_KEY.search(key) and len(one.value) >= _SHORTEST:
            found = ["named secret"]
        for kind in dict.fromkeys(found):
            yield Exposed(
                "environment", kind, f"{one.file}:{one.line} {one.path}", len(one.value),
                "mark it with fn::secret (Pulumi Cloud encrypts it), or take it from a process variable; then rotate it",
            )  # fmt: skip


def _in_zones(settings: Settings) -> Iterable[Exposed]:
    """TXT records the environment names; what only the live zone holds is found by analyze (TXT-SECRET)."""
    for zone in settings.zones:
        for row in zone.records:
            if row.record.type != "TXT" or mail_policy(row.record) is not None:
                continue
            for kind, token in secrets_in(row.record.value):
                yield Exposed(
                    "zone", kind, f"TXT {row.record.name} of {zone.name}", len(token),
                    "rotate it where it was made, then delete the record: serving it publishes it",
                )  # fmt: skip


def in_history(lines: Iterable[Line]) -> Iterable[Exposed]:
    """Tokens, named secrets and plain texts behind `fn::secret` that were ever added; each text once, newest first."""
    seen: set[str] = set()
    for line in lines:
        text = _REFERENCE.sub("", line.text)
        marked = _PLAIN_MARKED.search(text)
        found = [(kind, token) for kind, token in secrets_in(text) if marked is None or kind != "named secret"]
        if marked is not None and not any(token in marked.group(1) for _, token in found):
            found.append(("text behind fn::secret", marked.group(1).strip()))
        for kind, token in found:
            if token in seen:
                continue
            seen.add(token)
            yield Exposed(
                "git", kind, line.place, len(token),
                "rotate it: history keeps what was committed, whatever the file says now",
            )  # fmt: skip
