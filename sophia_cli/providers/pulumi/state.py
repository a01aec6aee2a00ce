"""A stack's exported state read as digests: secrets enter under a key of this installation and leave no other trace."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from sophia_cli.core.canonical import canonical, digest_of
from sophia_cli.core.errors import BadResponse
from sophia_cli.core.stack_steps import leaves
from sophia_cli.core.stacks import ROOT_TYPE, SECRET, Output, ResourceState, StackState
from sophia_cli.providers.pulumi.events import SECRET_MARK, SIGNATURE, hidden, shown


def stack_state(
    stack: str, exported: str, config: Mapping[str, str], key: bytes, hide: tuple[str, ...] = ()
) -> StackState:
    """The state in an export (`stack export --show-secrets`, version 3 of the deployment format).

    `config` are the digests of the configuration; `key` keys the digests of secrets; `hide` are texts of secrets that
    make an output one even where the program does not. Raises `BadResponse`.
    """
    deployment = _deployment(stack, exported)
    resources: dict[str, ResourceState] = {}
    outputs: dict[str, Output] = {}
    for entry in deployment.get("resources") or ():
        urn = str(entry.get("urn", ""))
        if entry.get("delete"):
            urn = f"{urn}#to-be-deleted"  # the old copy of a replacement that was cut off
        resources[urn] = _resource(entry, key)
        if entry.get("type") == ROOT_TYPE:
            outputs = {name: _output(value, hide) for name, value in (entry.get("outputs") or {}).items()}
    pending = deployment.get("pending_operations") or ()
    cut_off = sorted(f"{one.get('type', '')} {(one.get('resource') or {}).get('urn', '')}".strip() for one in pending)
    return StackState(stack, True, resources, config, outputs, tuple(cut_off))


def _deployment(stack: str, exported: str) -> Mapping[str, Any]:
    try:
        data = json.loads(exported)
        deployment = data["deployment"] or {}
        version = data["version"]
    except (ValueError, KeyError, TypeError) as exc:
        raise BadResponse(
            f"{stack}: the exported state is not JSON of the known form", hint="run: sophia doctor"
        ) from exc
    if not isinstance(deployment, dict) or version not in (3, 4):
        raise BadResponse(f"{stack}: the exported state has version {version}, which is not understood here")
    return deployment


def _resource(entry: Mapping[str, Any], key: bytes) -> ResourceState:
    protect = bool(entry.get("protect"))
    sides = [_digests(entry.get(side) or {}, key) for side in ("inputs", "outputs")]
    return ResourceState.of(str(entry.get("type", "")), str(entry.get("id") or ""), protect, *sides)


def _digests(properties: Any, key: bytes) -> dict[str, str]:
    values = keyed(properties, key)
    return {path: digest_of(value) for path, value in leaves(values)} if isinstance(values, dict) else {}


def keyed(value: Any, key: bytes) -> Any:
    """A property value with every secret replaced by its keyed digest (HMAC-SHA256, RFC 2104)."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET_MARK:
            return secret_digest(str(value.get("plaintext", value.get("ciphertext", ""))), key)
        return shown(value) if SIGNATURE in value else {name: keyed(item, key) for name, item in value.items()}
    if isinstance(value, list):
        return [keyed(item, key) for item in value]
    return shown(value)


def secret_digest(text: str, key: bytes) -> str:
    """What stands for a secret: nobody without the key can test a guess against it."""
    return f"{SECRET}hmac:{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


def _output(value: Any, hide: tuple[str, ...]) -> Output:
    masked = hidden(shown(value), hide)
    # A secret anywhere inside makes the whole output one: it is published as one value.
    return Output(None, True) if SECRET.encode() in canonical(masked) else Output(masked)
