"""Sections: one map of an environment read key by key with types checked. Says what is wrong and shows no secret."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from pydantic import SecretStr

from sophia_cli.core.dns import shown
from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Report
from sophia_cli.esc.document import Number, join_key
from sophia_cli.esc.environment import Node
from sophia_cli.esc.spelling import nearest


class Section:
    """A map at a path. Each reading names a key; `finish` warns of keys that were never read but look like one."""

    def __init__(self, node: Node | None, path: str, report: Report, unknown: list[str]) -> None:
        self.path = path
        self.report = report
        self.unknown = unknown
        """Paths of values that are unknown; shared by all sections of one reading."""
        self._known: set[str] = set()
        self._fields: Mapping[str, Node] = {}
        self.node = node
        if node is None or (not node.unknown and node.value is None):
            return
        if node.unknown:
            self.unknown.append(path)
        elif isinstance(node.value, Mapping):
            self._fields = node.value
        else:
            self.wrong(node, path, "a map is needed here")

    @property
    def is_given(self) -> bool:
        """Whether the environment holds anything here."""
        return bool(self._fields)

    @property
    def origin(self) -> Origin | None:
        """Where the section stands."""
        return self.node.origin if self.node is not None else None

    def path_of(self, key: str) -> str:
        """The path of a key."""
        return join_key(self.path, key)

    def get(self, key: str) -> Node | None:
        """The value of a key when it is given and known; null counts as not given."""
        self._known.add(key)
        node = self._fields.get(key)
        if node is None:
            return None
        if node.unknown:
            self.unknown.append(self.path_of(key))
            return None
        return None if node.value is None else node

    def has(self, key: str) -> bool:
        """Whether a key is given, known or not."""
        self._known.add(key)
        node = self._fields.get(key)
        return node is not None and (node.unknown or node.value is not None)

    def section(self, key: str) -> Section:
        """The map at a key; empty when there is none."""
        self._known.add(key)
        return Section(self._fields.get(key), self.path_of(key), self.report, self.unknown)

    def sections(self) -> Iterator[tuple[str, Section]]:
        """Each key of a map of maps, in order."""
        for key in self._fields:
            yield key, self.section(key)

    def entries(self) -> Iterator[tuple[str, Node]]:
        """Each key with its value; all count as understood."""
        self._known.update(self._fields)
        yield from self._fields.items()

    def wrong(self, node: Node, path: str, message: str) -> None:
        """Reports a value that cannot be used."""
        self.report.error(f"{path}: {message}", node.origin, f"values.{path}")

    def text(self, key: str) -> str | None:
        """A text; a number counts as its digits."""
        node = self.get(key)
        return None if node is None else self.text_of(node, self.path_of(key))

    def text_of(self, node: Node, path: str) -> str | None:
        """The text of a value, or None with an error."""
        if isinstance(node.value, (str, Number)):
            return node.value if isinstance(node.value, str) else node.value.text
        self.wrong(
            node, path, f"text is needed, not {kind_of(node)}" + ("; quote it" if isinstance(node.value, bool) else "")
        )
        return None

    def secret(self, key: str) -> SecretStr | None:
        """A text that must not be shown, whether or not the file marks it."""
        text = self.text(key)
        return SecretStr(text) if text else None

    def boolean(self, key: str, default: bool) -> bool:
        """A boolean; the text `true` or `false` counts, because process variables hold nothing else."""
        node = self.get(key)
        if node is None:
            return default
        if isinstance(node.value, bool):
            return node.value
        if node.value in ("true", "false"):
            return node.value == "true"
        self.wrong(node, self.path_of(key), f"true or false is needed, not {kind_of(node)}")
        return default

    def integer(self, key: str, low: int = 0, high: int = 2**31 - 1) -> int | None:
        """A whole number within bounds; its digits as text count too."""
        node = self.get(key)
        if node is None:
            return None
        digits = node.value.text if isinstance(node.value, Number) else node.value
        path = self.path_of(key)
        if not isinstance(digits, str) or not digits.strip().removeprefix("-").isdecimal() or len(digits) > 12:
            self.wrong(node, path, f"a whole number is needed, not {kind_of(node)}")
            return None
        number = int(digits)
        if not low <= number <= high:
            shown_number = "[secret]" if node.secret else str(number)
            self.wrong(node, path, f"{shown_number} is outside {low}..{high}")
            return None
        return number

    def decimal(self, key: str) -> Decimal | None:
        """An amount of money, not negative."""
        node = self.get(key)
        if node is None:
            return None
        digits = node.value.text if isinstance(node.value, Number) else node.value
        try:
            amount = Decimal(digits) if isinstance(digits, str) else None
        except InvalidOperation:
            amount = None
        if amount is None or not amount.is_finite() or amount < 0:
            self.wrong(node, self.path_of(key), f"an amount is needed, not {kind_of(node)}")
            return None
        return amount

    def choice(self, key: str, options: tuple[str, ...], default: str | None = None) -> str | None:
        """One of a few words."""
        text = self.text(key)
        if text is None:
            return default
        if text in options:
            return text
        folded = {option.lower(): option for option in options}
        node = self.get(key)
        hint = folded.get(text.lower()) or nearest(text, options)
        meant = f'; did you mean "{hint}"?' if hint else ""
        if node is not None:
            said = "[secret]" if node.secret else shown(text)
            self.wrong(node, self.path_of(key), f"{said} is not one of {', '.join(options)}{meant}")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text counts as a list of it. Unknown elements are noted and left out."""
        return tuple(text for text, _ in self.texts_with_nodes(key))

    def raw(self, key: str) -> Node | None:
        """The value of a key as it is, known or not."""
        self._known.add(key)
        return self._fields.get(key)

    def texts_with_nodes(self, key: str, without: Sequence[Node] = ()) -> tuple[tuple[str, Node], ...]:
        """A list of texts, each with its value; `without` are elements that somebody else reads."""
        node = None if any(self.raw(key) is one for one in without) else self.get(key)
        if node is None:
            return ()
        path = self.path_of(key)
        if isinstance(node.value, Mapping):
            self.wrong(node, path, "a list is needed, not a map")
            return ()
        items = node.value if isinstance(node.value, tuple) else (node,)
        found: list[tuple[str, Node]] = []
        for index, item in enumerate(items):
            inner = f"{path}[{index}]" if isinstance(node.value, tuple) else path
            if any(item is one for one in without):
                continue
            if item.unknown:
                self.unknown.append(inner)
                continue
            text = self.text_of(item, inner)
            if text is not None:
                found.append((text, item))
        return tuple(found)

    def url(self, key: str, *, loopback_only_plain: bool = True) -> str | None:
        """An https URL, or a plain http one on loopback (anywhere when `loopback_only_plain` is False)."""
        text = self.text(key)
        node = self.get(key)
        if text is None or node is None:
            return None
        reason = url_problem(text, loopback_only_plain)
        if reason:
            self.wrong(node, self.path_of(key), f"{'the secret value' if node.secret else shown(text)} {reason}")
            return None
        return text

    def finish(self) -> None:
        """Warns of keys nobody read that look like a misspelt known one."""
        for key, node in self._fields.items():
            if key not in self._known:
                meant = nearest(key, self._known - set(self._fields))
                if meant:
                    path = self.path_of(key)
                    self.report.warning(f'{path}: unknown key; did you mean "{meant}"?', node.origin, f"values.{path}")


def kind_of(node: Node) -> str:
    """What a value is, for a message; never its content."""
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, Number):
        return f"the number {value.text}" if not node.secret else "a secret number"
    if isinstance(value, str):
        return "a secret text" if node.secret else f"the text {shown(value)}"
    return "a list" if isinstance(value, tuple) else "a map"


def url_problem(text: str, loopback_only_plain: bool = True) -> str | None:
    """Why a URL may not be called, or None."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    del port
    if parts.scheme not in ("http", "https") or not host or any(character.isspace() for character in text):
        return "is not an http or https URL"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if parts.scheme == "http" and loopback_only_plain and not is_loopback(host):
        return "must be https (plain http is for loopback only)"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
