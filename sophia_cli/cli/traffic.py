"""`sophia analyze --traffic`: what a query or access log shows, beside the zones that it is about or alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sophia_cli.cli.options import Common, Output
from sophia_cli.cli.printing import only, result

if TYPE_CHECKING:
    from datetime import datetime

    from sophia_cli.checks.facts import Facts
    from sophia_cli.core.dns import Zone
    from sophia_cli.flows.analyze import Analysis
    from sophia_cli.providers.access_log import LogRead

FORMS = (Output.text, Output.json, Output.markdown)
NO_ZONE = "no zone is known here, so no record changes are proposed; name one with -e FILE or --zone-file FILE"


@dataclass(slots=True)
class TrafficLog:
    """A log that is read once the zones are known; as a collector it gives the checks what it shows."""

    log: str
    regions: str | None
    now: datetime
    read: LogRead | None = None
    zones: tuple[Zone, ...] = field(default=())

    async def collect(self, facts: list[Facts]) -> list[Facts]:
        """The facts with the traffic. Raises `UsageError` for a log or table that cannot be read."""
        from dataclasses import replace

        self.zones = tuple(one.zone for one in facts)
        if self.read is None:  # zones are looked at again after a fix, and standard input can be read once only
            self.read = await self._read()
        traffic = self.read.traffic
        return [replace(one, background=replace(one.background, traffic=traffic)) for one in facts]

    async def _read(self) -> LogRead:
        """The log, counted in a thread; requests that name no host count for the zone when there is one only."""
        import asyncio

        from sophia_cli.providers.access_log import UNNAMED, read_log, read_regions

        name = self.zones[0].name if len(self.zones) == 1 else UNNAMED

        def read() -> LogRead:
            table = None if self.regions is None else read_regions(self.regions)
            return read_log(self.log, now=self.now, regions=table, name=name)

        return await asyncio.to_thread(read)

    async def data(self) -> dict[str, Any]:
        """The public shape `sophia.traffic/1`; also what stands as `traffic` in an analysis."""
        from sophia_cli.core.traffic_advice import advise

        read = self.read or await self._read()
        notes = [] if self.zones else [NO_ZONE]
        if read.cut:
            notes.insert(0, "the packed log ends in the middle; everything before is counted")
        advice = [one.data() for one in advise(read.traffic, self.zones)]
        return {**read.traffic.data(), "advice": advice, "notes": notes}


async def report_alone(common: Common, log: TrafficLog) -> int:
    """Print what a log shows where no zone is known."""
    only(common, *FORMS)
    data = await log.data()
    if common.output is Output.json:
        from sophia_cli.output.json_v1 import envelope

        result(envelope("traffic", data))
    else:
        result(_said(common, data))
    return 0


async def report_beside(common: Common, log: TrafficLog, analysis: Analysis, rendered: str) -> None:
    """Print an analysis and what the log shows; as JSON one document."""
    data = await log.data()
    if common.output is Output.json:
        from sophia_cli.output.json_v1 import envelope

        result(envelope("analysis", {**analysis.data(), "traffic": data}))
    else:
        result(rendered + "\n" + _said(common, data))


def _said(common: Common, data: dict[str, Any]) -> str:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output import traffic as forms

    return forms.markdown(data) if common.output is Output.markdown else forms.render(data, colour=wants_colour(common))


def has_environment(common: Common) -> bool:
    """Whether an environment is named or found; several that could be meant are left to be complained about."""
    from sophia_cli.cli.environments import cloud_address, environment_path
    from sophia_cli.core.errors import InvalidEnvironment

    if common.env is not None or cloud_address(common.env) is not None:
        return True
    try:
        return environment_path(common).is_file()
    except InvalidEnvironment as exc:
        return bool(exc.details.get("candidates"))
