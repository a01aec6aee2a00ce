"""Stacks as values: resources as a plan shows them, what a stack holds, its outputs. Runs no engine and reads no state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sophia_cli.core.canonical import digest_of

SECRET = "[secret]"
UNKNOWN = "[unknown]"

ROOT_TYPE = "pulumi:pulumi:Stack"
PROVIDER_PREFIX = "pulumi:providers:"

PropertyKind = Literal["add", "delete", "update"]
PROPERTY_KINDS: tuple[PropertyKind, ...] = ("add", "delete", "update")

# Types that hold what no program can make again, or that others point at, by the words of their token
# (`package:module/resource:Resource`, Pulumi's "Type tokens"): words and phrases of the resource's own name, then whole
# modules. `state_kind` compares words in lower case.
STATEFUL_NAMES: Mapping[str, tuple[str, ...]] = {
    "database": (
        *("database", "db", "dynamodb", "redis", "spanner", "bigtable", "opensearch", "cosmosdb"),
        *("db instance", "db cluster", "flexible server", "replication group"),
    ),
    "bucket": ("bucket", "bucketv2", "blob", "storage account"),
    "volume": ("volume", "disk", "snapshot", "filesystem", "file system", "file share"),
    "address": (
        *("eip", "address", "elastic ip", "floating ip", "reserved ip", "primary ip", "static ip", "public ip"),
        *("floatingip", "reservedip", "primaryip", "publicip"),
    ),
    "zone": ("zone", "hosted zone"),
    "key": ("kms", "vault"),
    "queue": ("queue", "topic", "stream"),
    "stash": ("stash",),
}
STATEFUL_MODULES: Mapping[str, str] = {
    **dict.fromkeys(("rds", "dynamodb", "docdb", "neptune", "elasticache", "memorydb", "redshift", "sql"), "database"),
    **dict.fromkeys(("efs", "fsx"), "volume"),
    "kms": "key",
}
# What merely belongs to a stateful thing (`aws:s3/bucketPolicy:BucketPolicy`) and is made again from the program.
ATTACHMENT_WORDS = frozenset(
    {
        *("policy", "attachment", "association", "acl", "notification", "permission", "binding", "member", "grant"),
        *("rule", "alias", "subscription", "block", "controls", "logging", "metric", "configuration", "group", "user"),
    }
)


def state_kind(type_token: str) -> str | None:
    """What kind of state a type of resource holds (`database`, `volume`, `bucket`, `address`, ...), or None."""
    words = _words(type_token.rpartition(":")[2])
    if not words or (words[-1] in ATTACHMENT_WORDS and words[-2:] != ["replication", "group"]):
        return None
    text = f" {' '.join(words)} "
    for kind, names in STATEFUL_NAMES.items():
        if any(f" {name} " in text for name in names):
            return kind
    module = type_token.split(":")[1] if type_token.count(":") == 2 else ""
    return STATEFUL_MODULES.get(module.partition("/")[0].lower())


def _words(name: str) -> list[str]:
    """The words of a type's own name: `PublicIPAddress` is public, ip, address."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+", name)]


def name_of(urn: str) -> str:
    """The resource's own name: what stands after the last `::` of its URN (Pulumi, "Resource URNs")."""
    return urn.rpartition("::")[2]


def type_of(urn: str) -> str:
    """The resource's own type: the last of the `$`-joined types of its URN; empty when there is none."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 3 else ""


@dataclass(frozen=True, slots=True)
class Property:
    """One property that a step changes. Values are JSON data; secrets are `[secret]`, values not known yet `[unknown]`."""

    path: str
    before: Any
    after: Any
    kind: PropertyKind = "update"
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as one side of a change: only what changes, or, when it is made or deleted, all its inputs.

    `replaces` are the properties that force a replacement; `stateful` says that a deleted one cannot be made again
    with what it held.
    """

    urn: str
    type: str
    name: str
    id: str = ""
    protect: bool = False
    stateful: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict, hash=False)
    replaces: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The public shape (contract, `stack.resource`)."""
        return {
            "urn": self.urn,
            "type": self.type,
            "name": self.name,
            "id": self.id,
            "protect": self.protect,
            "stateful": self.stateful,
            "properties": {path: self.properties[path] for path in sorted(self.properties)},
            "replaces": list(self.replaces),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Resource:
        """The resource of its public shape."""
        return cls(
            urn=data["urn"],
            type=data["type"],
            name=data["name"],
            id=data["id"],
            protect=data["protect"],
            stateful=data["stateful"],
            properties=dict(data["properties"]),
            replaces=tuple(data["replaces"]),
        )

    @property
    def is_root(self) -> bool:
        """Whether this is the stack itself: its properties are the stack's outputs."""
        return self.type == ROOT_TYPE

    @property
    def ranks_high(self) -> bool:
        """Whether losing it is worse than making it again: protected, or holding state."""
        return self.protect or self.stateful


@dataclass(frozen=True, slots=True)
class Output:
    """One stack output. `value` is JSON data; a secret's is a `SecretStr` of its JSON text, or None where not asked for."""

    value: Any = None
    is_secret: bool = False
    is_known: bool = True

    def data(self) -> dict[str, Any]:
        """The public shape: `[secret]` and `[unknown]` stand for what is not shown."""
        shown = SECRET if self.is_secret else self.value
        return {"value": shown if self.is_known else UNKNOWN, "secret": self.is_secret, "known": self.is_known}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Output:
        """The output of its public shape; a secret's value is gone."""
        has_value = data["known"] and not data["secret"]
        return cls(data["value"] if has_value else None, data["secret"], data["known"])


@dataclass(frozen=True, slots=True)
class ResourceState:
    """What a stack's state says of one resource: the digest of each input and output by its path.

    A secret enters as a keyed digest. Of the outputs only those are kept that are not the input of the same path.
    """

    type: str
    id: str = ""
    protect: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    outputs: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(
        cls, type_token: str, id_: str, protect: bool, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> ResourceState:
        """The state of whole inputs and outputs."""
        own = {path: digest for path, digest in outputs.items() if inputs.get(path) != digest}
        return cls(type_token, id_, protect, inputs, own)

    @property
    def values(self) -> Mapping[str, str]:
        """What each property is now: its output, else its input."""
        return {**self.inputs, **self.outputs}

    def data(self) -> dict[str, Any]:
        """The canonical JSON form."""
        return {
            "type": self.type,
            "id": self.id,
            "protect": self.protect,
            "inputs": {path: self.inputs[path] for path in sorted(self.inputs)},
            "outputs": {path: self.outputs[path] for path in sorted(self.outputs)},
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> ResourceState:
        """The state of its canonical form."""
        return cls(data["type"], data["id"], data["protect"], dict(data["inputs"]), dict(data["outputs"]))


@dataclass(frozen=True, slots=True)
class StackState:
    """What a stack holds, as digests: resources by URN, config by key, outputs, and operations that were cut off.

    `exists` is False for a stack that was never made.
    """

    stack: str
    exists: bool = True
    resources: Mapping[str, ResourceState] = field(default_factory=dict, hash=False)
    config: Mapping[str, str] = field(default_factory=dict, hash=False)
    outputs: Mapping[str, Output] = field(default_factory=dict, hash=False)
    pending: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The canonical JSON form; it holds no secret and no plain input."""
        return {
            "stack": self.stack,
            "exists": self.exists,
            "resources": {urn: self.resources[urn].data() for urn in sorted(self.resources)},
            "config": {key: self.config[key] for key in sorted(self.config)},
            "outputs": {name: self.outputs[name].data() for name in sorted(self.outputs)},
            "pending": list(self.pending),
        }

    def digest(self) -> str:
        """`sha256:...` of the content: what a plan is bound to."""
        return digest_of(self.data())

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> StackState:
        """The content of its canonical form."""
        return cls(
            stack=data["stack"],
            exists=data["exists"],
            resources={urn: ResourceState.from_data(entry) for urn, entry in data["resources"].items()},
            config=dict(data["config"]),
            outputs={name: Output.from_data(entry) for name, entry in data["outputs"].items()},
            pending=tuple(data["pending"]),
        )


@dataclass(frozen=True, slots=True)
class Update:
    """One entry of a stack's history. `result` is `succeeded`, `failed` or `in-progress`.

    `environment` is what the engine noted of its surroundings: git authors, the CI system, its flags.
    """

    version: int
    kind: str
    result: str
    started: datetime
    ended: datetime | None
    message: str
    changes: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def stack_target(stack: str) -> str:
    """The target id of a stack, given as `ORG/PROJECT/NAME`."""
    return f"stack:{stack}"
