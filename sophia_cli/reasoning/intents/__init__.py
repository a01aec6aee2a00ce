"""Intents: the closed set of things a sentence can mean. Values only: an intent does nothing and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sophia_cli.reasoning.intents.acts import (
    Deploy,
    Freeze,
    Heal,
    ImportZone,
    MakePlan,
    OptimizeInfrastructure,
    RollbackRun,
    Thaw,
    UndoLast,
)
from sophia_cli.reasoning.intents.certificates import (
    InspectCertificate,
    IssueCertificate,
    OptimizeCertificates,
    RenewCertificate,
    RotateSecret,
)
from sophia_cli.reasoning.intents.checks import typed
from sophia_cli.reasoning.intents.environments import (
    CreateEnvironment,
    DestroyEnvironment,
    ExpireEnvironment,
    ScaleService,
)
from sophia_cli.reasoning.intents.explanations import (
    Analyze,
    Doctor,
    ExplainFinding,
    ExplainProposal,
    ExplainSetting,
    Help,
)
from sophia_cli.reasoning.intents.intent import Intent
from sophia_cli.reasoning.intents.inventory import (
    ShowDrift,
    ShowFreeze,
    ShowRecords,
    ShowRun,
    ShowSecrets,
    ShowStacks,
)
from sophia_cli.reasoning.intents.questions import (
    ShowCost,
    ShowExpiry,
    ShowRenewals,
    ShowStatus,
    VerifyAudit,
    WhatChanged,
)
from sophia_cli.reasoning.intents.records import CreateRecord, RemoveRecord, SetMail, SetRecord
from sophia_cli.reasoning.slots import InvalidSlot, Json

ALL: Final[tuple[type[Intent], ...]] = (
    *(CreateRecord, SetRecord, RemoveRecord, SetMail),
    *(CreateEnvironment, ExpireEnvironment, DestroyEnvironment, ScaleService, OptimizeInfrastructure),
    *(IssueCertificate, RenewCertificate, InspectCertificate, OptimizeCertificates, RotateSecret),
    *(Analyze, ExplainFinding, ExplainProposal, ExplainSetting, MakePlan, Deploy, Heal, RollbackRun, UndoLast),
    *(Freeze, Thaw, ImportZone),
    *(WhatChanged, ShowCost, ShowRenewals, ShowExpiry, ShowStatus, VerifyAudit, Doctor, Help),
    *(ShowRecords, ShowDrift, ShowRun, ShowSecrets, ShowStacks, ShowFreeze),
)


def build(name: str, given: Mapping[str, Json]) -> Intent:
    """The intent of that name from its slots as JSON data, checked; the door for a model's answer. Raises InvalidSlot."""
    kinds = {kind.name: kind for kind in ALL}
    if name not in kinds:
        raise InvalidSlot(f"{name!r} is not an intent", hint="one of " + ", ".join(sorted(kinds)))
    kind = kinds[name]
    known = set(kind.__slots__)
    if unknown := sorted(set(given) - known):
        raise InvalidSlot(f"{name} has no slot {unknown[0]!r}", hint="one of " + ", ".join(sorted(known)))
    values: dict[str, Any] = {}
    for slot, value in given.items():
        values[slot] = typed(slot, value)
    try:
        return kind(**values)
    except TypeError as exc:
        raise InvalidSlot(f"{name} lacks a slot: {exc}") from exc


__all__ = [
    "ALL",
    "Analyze",
    "CreateEnvironment",
    "CreateRecord",
    "Deploy",
    "DestroyEnvironment",
    "Doctor",
    "ExpireEnvironment",
    "ExplainFinding",
    "ExplainProposal",
    "ExplainSetting",
    "Freeze",
    "Heal",
    "Help",
    "ImportZone",
    "InspectCertificate",
    "Intent",
    "IssueCertificate",
    "MakePlan",
    "OptimizeCertificates",
    "OptimizeInfrastructure",
    "RemoveRecord",
    "RenewCertificate",
    "RollbackRun",
    "RotateSecret",
    "ScaleService",
    "SetMail",
    "SetRecord",
    "ShowCost",
    "ShowDrift",
    "ShowExpiry",
    "ShowFreeze",
    "ShowRecords",
    "ShowRenewals",
    "ShowRun",
    "ShowSecrets",
    "ShowStacks",
    "ShowStatus",
    "Thaw",
    "UndoLast",
    "VerifyAudit",
    "WhatChanged",
    "build",
]
