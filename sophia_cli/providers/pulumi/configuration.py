"""A stack's configuration: what it holds, what it should hold, and the file with only that changed. Encrypts nothing itself."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from sophia_cli.core.canonical import canonical, digest_of
from sophia_cli.core.changes import Change, ConfigValue
from sophia_cli.core.errors import BadResponse, InvalidEnvironment
from sophia_cli.core.stacks import SECRET
from sophia_cli.providers.pulumi.state import secret_digest


@dataclass(frozen=True, slots=True)
class Setting:
    """One configuration value, decrypted and in memory only. `value` is JSON data; a top-level scalar is a text."""

    value: Any
    is_secret: bool

    def __repr__(self) -> str:
        return f"Setting({SECRET if self.is_secret else repr(self.value)})"

    def shown(self) -> Any:
        """The value as it may be shown."""
        return SECRET if self.is_secret else self.value

    def digest(self, key: bytes) -> str:
        """The digest of the value, keyed when it is a secret."""
        return secret_digest(canonical(self.value).decode(), key) if self.is_secret else digest_of(self.value)


def current(stack: str, listed: str) -> dict[str, Setting]:
    """The configuration in the output of `pulumi config --json --show-secrets`. Raises `BadResponse`."""
    try:
        data = json.loads(listed or "{}")
        return {
            key: Setting(entry["objectValue"] if "objectValue" in entry else entry.get("value"), bool(entry["secret"]))
            for key, entry in data.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadResponse(
            f"{stack}: the configuration is not JSON of the known form", hint="run: sophia doctor"
        ) from exc


def wanted(project: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration an environment asks for, under full keys (`project:key`); secrets stay `SecretStr`.

    What is not known here, in whole or in part, is left out: the stack keeps what it has.
    """
    return {_full(project, key): value for key, value in given.items() if _is_known(value)}


def unknown_keys(project: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys whose value cannot be known here."""
    return tuple(sorted(_full(project, key) for key, value in given.items() if not _is_known(value)))


def _full(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"


def _is_known(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_known, value.values()))
    return all(map(_is_known, value)) if isinstance(value, (list, tuple)) else value is not None


def setting(value: Any) -> Setting:
    """A wanted value as the CLI would list it."""
    plain, is_secret = revealed(value), bool(list(secrets_in(value)))
    return Setting(plain if isinstance(plain, (dict, list)) else _text(plain), is_secret)


def revealed(value: Any) -> Any:
    """The value with its secrets readable: for comparing, never for showing."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {str(key): revealed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [revealed(item) for item in value]
    return value


def secrets_in(value: Any) -> Iterator[SecretStr]:
    """Every secret inside a wanted value."""
    if isinstance(value, SecretStr):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def differing(there: Mapping[str, Setting], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The wanted values that are not there yet, or not as secret as they should be."""
    return {key: value for key, value in sorted(asked.items()) if there.get(key) != setting(value)}


def config_changes(
    target: str, there: Mapping[str, Setting], after: Mapping[str, Setting | None]
) -> tuple[Change, ...]:
    """Changes of kind `stack.config`, one a key; None: the key goes. Secrets are `[secret]` on both sides."""
    changes = []
    for key, new in sorted(after.items()):
        old = there.get(key)
        before = None if old is None else ConfigValue(key, old.shown())
        now = None if new is None else ConfigValue(key, new.shown())
        action = "delete" if now is None else "create" if before is None else "update"
        reason = "the environment's configuration of the stack"
        changes.append(Change(target, "stack.config", action, before, now, source="config", reason=reason))  # type: ignore[arg-type]
    return tuple(changes)


def restored(there: Mapping[str, Setting], former: Mapping[str, Setting]) -> dict[str, Setting | None]:
    """What has to be set, or to go, for the configuration to be as it was."""
    keys = sorted(there.keys() | former.keys())
    return {key: former.get(key) for key in keys if there.get(key) != former.get(key)}


def edited(text: str, values: Mapping[str, Any], ciphertexts: Mapping[str, str]) -> str:
    """The configuration file with these values set; everything else in it stays, comments included.

    `ciphertexts` maps each secret's text to its ciphertext. Raises `InvalidEnvironment` when the file is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    dash = re.search(r"^( *)[^\s#-][^\n]*:[^\n]*\n( *)- ", text, re.MULTILINE)
    offset = max(0, len(dash[2]) - len(dash[1])) if dash else 0
    yaml.indent(sequence=offset + 2, offset=offset)
    try:
        data = yaml.load(text)
    except YAMLError as exc:
        raise InvalidEnvironment(f"the stack's configuration file is not YAML: {exc}", hint="mend it") from exc
    document = data if isinstance(data, CommentedMap) else CommentedMap()
    config = document.setdefault("config", CommentedMap())
    if config is None:
        config = document["config"] = CommentedMap()
    for key, value in values.items():
        bare = key.partition(":")[2]
        if bare in config and key not in config:
            del config[bare]
        config[key] = _sealed(value, ciphertexts)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _sealed(value: Any, ciphertexts: Mapping[str, str]) -> Any:
    if isinstance(value, SecretStr):
        return {"secure": ciphertexts[value.get_secret_value()]}
    if isinstance(value, Mapping):
        return {str(key): _sealed(item, ciphertexts) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sealed(item, ciphertexts) for item in value]
    return value


def ciphertexts_in(text: str, keys: Iterable[str]) -> dict[str, str]:
    """The ciphertexts that the CLI wrote under these keys of a configuration file. Raises `BadResponse`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe", pure=True).load(text)["config"]
        return {key: str(config[key]["secure"]) for key in keys}
    except (YAMLError, KeyError, TypeError) as exc:
        raise BadResponse("pulumi config set wrote no ciphertext", hint="run: sophia doctor") from exc
