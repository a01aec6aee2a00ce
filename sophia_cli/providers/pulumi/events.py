"""Engine events read from JSON lines: steps, diagnostics, policy violations, and what nobody here has heard of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sophia_cli.core.stack_steps import EngineStep, PathDiff, Side
from sophia_cli.core.stacks import SECRET, UNKNOWN

# Marks of special values (Pulumi, `resource.SigKey` and its signatures): a map with this key is not a user's map.
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_MARK = "1b47061264138c4ac30d75fd1eb44270"
ASSET_MARK = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE_MARK = "0def7320c3a5731c473e5ecbe6d01bc7"
REFERENCE_MARK = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_MARK = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
# Texts that stand for a value which is not known yet (Pulumi, `plugin.Unknown*Value`).
UNKNOWN_MARKS = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
STEP_EVENTS: Mapping[str, str] = {
    "resourcePreEvent": "begin",
    "resOutputsEvent": "end",
    "resOpFailedEvent": "failed",
}
# Events that say nothing of what becomes of a resource.
QUIET_EVENTS = frozenset(
    {
        *("preludeEvent", "cancelEvent", "stdoutEvent", "startDebuggingEvent", "progressEvent"),
        *("policyLoadEvent", "policyAnalyzeSummaryEvent", "policyRemediateSummaryEvent"),
        *("policyAnalyzeStackSummaryEvent",),
    }
)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something the engine or the program said. `severity` is `error`, `warning`, `info` or `info#err`."""

    severity: str
    message: str
    urn: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """A policy that a resource breaks. `level` is `mandatory`, `advisory` or `remediate`."""

    policy: str
    pack: str
    level: str
    message: str
    urn: str = ""

    def text(self) -> str:
        """One line."""
        where = f" ({self.urn.rpartition('::')[2]})" if self.urn else ""
        return f"policy {self.pack}/{self.policy}{where}: {' '.join(self.message.split())}"


@dataclass
class Stream:
    """What one operation of the engine said, event by event. `unknown` names kinds of event that were not understood.

    `blocks` are reasons why an update would fail although its preview is whole. `hide` are texts that must not be shown
    even where the program passes them on as if they were no secrets.
    """

    hide: tuple[str, ...] = ()

    steps: list[EngineStep] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    garbage: list[str] = field(default_factory=list)
    unchanged: int = 0
    result: str | None = None
    begun: bool = False
    blocks: list[str] = field(default_factory=list)

    def take(self, line: str) -> EngineStep | None:
        """Read one line; the step it tells of, if it is one. Anything that is no event is kept as garbage."""
        if not line.strip():
            return None
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "sequence" not in event:
            self.garbage.append(line)
            return None
        self.begun = True
        step = None
        for kind, body in event.items():
            if kind not in ("sequence", "timestamp"):
                step = self._event(kind, body if isinstance(body, dict) else {}, int(event["sequence"])) or step
        return step

    def _event(self, kind: str, body: Mapping[str, Any], sequence: int) -> EngineStep | None:
        metadata = body.get("metadata")
        if kind in STEP_EVENTS or (isinstance(metadata, dict) and metadata.get("urn")):
            if kind not in STEP_EVENTS:
                self.unknown.append(kind)
            phase = STEP_EVENTS.get(kind, "unknown")
            known = metadata if isinstance(metadata, dict) else {}
            step = _step(sequence, phase, known, bool(body.get("planning")), self.hide)
            self.steps.append(step)
            return step
        if kind == "diagnosticEvent":
            self._diagnostic(body)
        elif kind in ("policyEvent", "policyRemediationEvent"):
            self.violations.append(_violation(kind, body))
        elif kind == "summaryEvent":
            self.unchanged = int((body.get("resourceChanges") or {}).get("same", 0))
            self.result = body.get("result")
        elif kind == "errorEvent":
            self.diagnostics.append(Diagnostic("error", str(body.get("error", body.get("message", "")))))
        elif kind not in QUIET_EVENTS:
            self.unknown.append(kind)
        return None

    def _diagnostic(self, body: Mapping[str, Any]) -> None:
        severity = str(body.get("severity", "info"))
        if severity != "debug" and not body.get("ephemeral"):
            message = hidden(str(body.get("message", "")).rstrip(), self.hide)
            self.diagnostics.append(Diagnostic(severity, message, str(body.get("urn") or "")))

    def refusals(self) -> tuple[str, ...]:
        """What stands in the way of an update, one line each: mandatory policies, and what `blocks` says."""
        return (*self.blocks, *(one.text() for one in self.violations if one.level == "mandatory"))


def _violation(kind: str, body: Mapping[str, Any]) -> Violation:
    level = "remediate" if kind == "policyRemediationEvent" else str(body.get("enforcementLevel", "mandatory"))
    pack = str(body.get("policyPackName", ""))
    message = str(body.get("message") or body.get("diagnostic") or "changed by the policy")
    return Violation(str(body.get("policyName", "")), pack, level, message, str(body.get("resourceUrn") or ""))


def _step(sequence: int, phase: str, metadata: Mapping[str, Any], planning: bool, hide: tuple[str, ...]) -> EngineStep:
    detailed = metadata.get("detailedDiff") or {}
    return EngineStep(
        sequence=sequence,
        phase=phase,
        op=str(metadata.get("op", "")),
        urn=str(metadata.get("urn", "")),
        type=str(metadata.get("type", "")),
        old=_side(metadata.get("old"), hide),
        new=_side(metadata.get("new"), hide),
        keys=tuple(metadata.get("keys") or ()),
        diffs=tuple(metadata.get("diffs") or ()),
        detailed={
            path: PathDiff(str(diff.get("diffKind", "update")), bool(diff.get("inputDiff")))
            for path, diff in detailed.items()
        },
        planning=planning,
    )


def _side(state: Any, hide: tuple[str, ...]) -> Side | None:
    if not isinstance(state, dict):
        return None
    inputs, outputs = (hidden(shown(state.get(side) or {}), hide) for side in ("inputs", "outputs"))
    return Side(
        id=hidden(_id(state.get("id")), hide),
        protect=bool(state.get("protect")),
        inputs=inputs if isinstance(inputs, dict) else {},
        outputs=outputs if isinstance(outputs, dict) else {},
    )


def _id(value: Any) -> str:
    return "" if value in UNKNOWN_MARKS or value is None else str(value)


def shown(value: Any) -> Any:
    """A property value as JSON data that may be shown: secrets are `[secret]`, unknown values `[unknown]`."""
    if isinstance(value, Mapping):
        mark = value.get(SIGNATURE)
        return {key: shown(item) for key, item in value.items()} if mark is None else _marked(mark, value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [shown(item) for item in value]
    if isinstance(value, str) and value in UNKNOWN_MARKS:
        return UNKNOWN
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def hidden(value: Any, hide: tuple[str, ...]) -> Any:
    """JSON data with every text of `hide` in it replaced by `[secret]`."""
    if isinstance(value, str):
        for text in hide:
            value = value.replace(text, SECRET)
        return value
    if isinstance(value, dict):
        return {key: hidden(item, hide) for key, item in value.items()}
    return [hidden(item, hide) for item in value] if isinstance(value, list) else value


def _marked(mark: Any, value: Mapping[str, Any]) -> Any:
    if mark == SECRET_MARK:
        return SECRET
    if mark == OUTPUT_MARK:
        if value.get("secret"):
            return SECRET
        return shown(value["value"]) if "value" in value else UNKNOWN
    if mark == REFERENCE_MARK:
        return f"[resource {value.get('urn', '')}]"
    if mark in (ASSET_MARK, ARCHIVE_MARK):
        return f"[{'asset' if mark == ASSET_MARK else 'archive'} {value.get('hash', '')}]"
    return f"[special value {mark}]"
