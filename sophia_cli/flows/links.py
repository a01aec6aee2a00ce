"""Links: records that take their value from a stack's output, resolved when it is known. Reads outputs, writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import SecretStr

from sophia_cli.core.changes import SECRET, UNKNOWN, Change, ConfigValue
from sophia_cli.core.dns import ADDRESS_TYPES, APEX, Record, normalised, problems
from sophia_cli.core.errors import SophiaError, UnknownValue
from sophia_cli.core.ports import Planned, TargetPort
from sophia_cli.core.settings import DesiredRecord, DesiredZone, Pulumi, Settings
from sophia_cli.core.stacks import Output
from sophia_cli.flows.course import Course
from sophia_cli.flows.ground import Ground

Outputs = Mapping[str, Mapping[str, Output]]
"""Outputs by stack target id, then by name."""


def linked(desired: DesiredZone, pulumi: Pulumi, outputs: Outputs) -> DesiredZone:
    """The zone with the outputs its records take; what only applying will show stays `[unknown]`.

    What rests on a stack that is not here is left out as it is. Raises `UnknownValue` for an output that does not exist
    or does not fit its record.
    """
    records: list[DesiredRecord] = []
    left_out: dict[tuple[str, str], str] = {}
    for row in desired.records:
        if row.takes is None or row.takes.startswith("stack:"):  # the latter is linked already
            records.append(row)
            continue
        name, _, key = row.takes.partition("#")
        target = target_of(name, pulumi, outputs)
        if target is None:
            left_out[row.record.name, row.record.type] = f"takes its value from stack {name}, which was left out"
            continue
        records.append(_filled(row, f"{target}#{key}", outputs[target].get(key), desired.name))
    kept = tuple(row for row in records if (row.record.name, row.record.type) not in left_out)
    return replace(desired, records=kept, left_out={**desired.left_out, **left_out})


async def with_current_outputs(settings: Settings, targets: Mapping[str, TargetPort]) -> Settings:
    """The settings with the outputs that stacks have now, for flows that look at what is and plan no stack."""
    if not any(row.takes for zone in settings.zones for row in zone.records):
        return settings
    outputs = {target: await port.outputs() for target, port in targets.items() if isinstance(port, Planned)}
    return replace(settings, zones=tuple(linked(zone, settings.pulumi, outputs) for zone in settings.zones))


def target_of(name: str, pulumi: Pulumi, targets: Iterable[str]) -> str | None:
    """Which of these stacks a reference names, by its environment or by its own name; None when it is none of them."""
    stack = next((one for one in pulumi.stacks if name in (one.environment, one.name)), None)
    wanted = (name if stack is None else stack.name).rpartition("/")[2]
    return next((target for target in targets if target.rpartition("/")[2] == wanted), None)


def _filled(row: DesiredRecord, takes: str, output: Output | None, zone: str) -> DesiredRecord:
    if output is None:
        raise UnknownValue(
            f"{row.path}: {takes.partition('#')[0]} has no output {takes.partition('#')[2]}",
            hint="sophia stack outputs lists what there is",
        )
    if not output.is_known:
        return replace(row, takes=takes)
    secret = row.secret | {"value"} if output.is_secret else row.secret
    return replace(row, record=_fitting(row.record, output, zone, takes), takes=takes, secret=secret)


def _fitting(record: Record, output: Output, zone: str, takes: str) -> Record:
    """The record with an output as its value. Raises `UnknownValue` when that makes no record."""
    value = json.loads(output.value.get_secret_value()) if isinstance(output.value, SecretStr) else output.value
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise UnknownValue(f"{takes} is no text, so {record.type} {record.name} cannot take it as its value")
    found = normalised(replace(record, value=str(value)), zone)
    reasons = tuple(problems(found, zone))
    if reasons:
        said = "the secret value does not fit" if output.is_secret else "; ".join(reasons)
        raise UnknownValue(f"{takes} does not fit the {record.type} record {record.name}: {said}")
    return found


# -- while applying -----------------------------------------------------------------------------------------------------


async def with_outputs(course: Course, target: str, ground: Ground) -> str | None:
    """Give a target's changes the outputs that its stacks have now; or say why the target must not be written.

    What was approved as a link gets its value here. A value that was approved and is another now is refused, and one for
    the apex, a mail exchanger or a name server is asked for once more.
    """
    changes = [change for change in course.run.of(target) if change.takes is not None]
    written = {leg.target for leg in course.run.legs if leg.target != target}
    known: list[Change] = []
    for change in changes:
        stack, _, key = (change.takes or "").partition("#")
        if stack not in written:
            continue
        try:
            found = await _resolved(change, key, ground.target(stack), target.partition(":")[2])
        except SophiaError as exc:
            return exc.message
        if found != change and isinstance(change.after, Record) and change.after.value != UNKNOWN:
            return f"{change.takes} is not what was approved any more"
        if found != change and _asked_again(found) and not ground.agrees(found):
            return f"{change.takes} became known only now; run sophia deploy again to approve its value"
        known.append(found)
    if known:
        await course.know(known)
    return None


async def _resolved(change: Change, key: str, port: object, zone: str) -> Change:
    if not isinstance(change.after, (Record, ConfigValue)):
        return change
    outputs = await port.outputs() if isinstance(port, Planned) else {}
    output = outputs.get(key)
    if output is None or not output.is_known:
        raise UnknownValue(f"{change.takes} is still not known")
    if isinstance(change.after, ConfigValue):  # of a secret, whose output is the keyed digest of its value
        return replace(change, after=ConfigValue(change.after.path, SECRET, output.value))
    return replace(change, after=_fitting(change.after, output, zone, change.takes or key))


def _asked_again(change: Change) -> bool:
    row = change.after
    if not isinstance(row, Record):
        return False
    return row.type in ("MX", "NS") or (row.name == APEX and row.type in ADDRESS_TYPES)
