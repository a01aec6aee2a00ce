"""Tag lists such as `v=DMARC1; p=none` (RFC 9989 4.8, 6376 3.2, 8460 3): read in order, nothing lost. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of one record in order, names lower-cased; `stray` is text without an equals sign."""

    pairs: tuple[tuple[str, str], ...]
    stray: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """The first value of a tag."""
        return next((value for tag, value in self.pairs if tag == name), None)

    def without(self, *names: str) -> Tags:
        """The tags but for some."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] not in names))

    def with_value(self, name: str, value: str) -> Tags:
        """The tags with another value in the same place."""
        return replace(self, pairs=tuple((tag, value if tag == name else old) for tag, old in self.pairs))

    def text(self) -> str:
        """The record as it is usually written."""
        return "; ".join(f"{tag}={value}" for tag, value in self.pairs)


def parse(value: str) -> Tags:
    """The tags of a record; never raises."""
    pairs, stray = [], []
    for part in value.split(";"):
        name, equals, text = part.partition("=")
        if equals:
            pairs.append((name.strip().lower(), text.strip()))
        elif part.strip():
            stray.append(part.strip())
    return Tags(tuple(pairs), tuple(stray))
