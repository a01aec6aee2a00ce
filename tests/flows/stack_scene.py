"""One environment with a stack, a service and a zone, over in-memory ports, a real environment file and a real state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sophia_cli.agents.score import score
from sophia_cli.core.dns import Record
from sophia_cli.core.history import Run
from sophia_cli.core.ports import StackPort
from sophia_cli.core.settings import Settings, Stack
from sophia_cli.esc.evaluate import Context
from sophia_cli.esc.load import load
from sophia_cli.esc.settings import settings
from sophia_cli.esc.target import EnvironmentFileTarget
from sophia_cli.flows.deploy import deploy
from sophia_cli.flows.desk import Desk
from sophia_cli.flows.environments import forget_empty, stack_of
from sophia_cli.flows.ground import Ground
from sophia_cli.flows.heal import Healed, heal
from sophia_cli.flows.plan import Judged, make_plan
from sophia_cli.flows.rollback import plan_rollback
from sophia_cli.store.directory import Directory, replace_text
from sophia_cli.store.secrets import FileSeals
from tests.builders import DOMAIN, a, zone
from tests.memory import MemoryZone, World
from tests.memory_stack import ScalingStack

TEXT = """\
values:
  dns:
    domain: example.com
    records:
      www: {name: www, type: A, value: "${stacks.prod.outputs.ip}", ttl: 600}
  pulumi:
    stacks:
      prod:
        config: {workers: 2}
  services:
    webhooks: {stack: prod, config_key: workers, min: 1, max: 6, aliases: [hooks]}
  ai_infrastructure: {autonomy: suggest}
"""


@dataclass
class Scene:
    """One machine's view. `backends` are the stacks as they are, whoever looks; `second` is another machine of the team."""

    root: Path
    state: Path
    text: str = TEXT
    backends: dict[str, dict[str, Any]] = field(default_factory=dict)
    world: World = field(init=False)
    targets: dict[str, ScalingStack] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    has_cli: bool = True

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.path = self.root / "acme.yaml"
        self.path.write_text(self.text)
        self.seals = FileSeals(Directory(self.state))
        self.world = World.of(self.state, self.settings, zone(a("other")))
        self.restart()

    def second(self, root: Path) -> Scene:
        """Another machine: its own copy of the file, the same state, the same stacks, the same zone and time."""
        other = Scene(root, self.state, self.text, self.backends, more=self.more)
        other.world.zones, other.world.clock = self.world.zones, self.world.clock
        other.restart()
        return other

    @property
    def settings(self) -> Settings:
        """The environment as its file says now."""
        return replace(settings(load(self.path, variables={}, context=Context())), stack="prod")

    def restart(self) -> None:
        """A new process: nothing is remembered but what was stored."""
        self.world.settings = self.settings
        self.file = EnvironmentFileTarget("acme", self.path, self.world.clock, replace_text, self.seals)
        self.targets = {}
        if self.has_cli:
            for stack in self.settings.pulumi.stacks:
                self.stack(stack)

    def stack(self, stack: Stack, config: Mapping[str, Any] | None = None) -> ScalingStack:
        short = stack.name.rpartition("/")[2]
        name = f"organization/shop/{short}"
        hidden = {key: value for key, value in stack.config.items() if isinstance(value, SecretStr)}
        wanted = {**stack.config, **{key: value.get_secret_value() for key, value in hidden.items()}, **(config or {})}
        backend = self.backends.setdefault(short, {})
        target = ScalingStack(self.world.clock, name, wanted, backend, hidden=frozenset(hidden), **self.more)
        self.targets[target.id] = target
        return target

    async def restack(self, stack: Stack, config: Mapping[str, Any]) -> StackPort:
        return self.stack(stack, config)

    @property
    def prod(self) -> ScalingStack:
        return self.targets["stack:organization/shop/prod"]

    def ground(self, command: str = "deploy") -> Ground:
        found = self.world.ground(command)
        return replace(found, targets={**found.targets, **self.targets, self.file.id: self.file})

    def desk(self) -> Desk:
        return Desk(
            settings=self.settings,
            file=self.file,
            store=self.world.store,
            restack=self.restack if self.has_cli else None,
            now=self.world.clock.now(),
            readers=self.world.zones,
            seals=self.seals,
        )

    def later(self, **length: float) -> None:
        asyncio.run(self.world.clock.sleep(timedelta(**length).total_seconds()))

    def apply(self, judged: Judged) -> Run:
        run = asyncio.run(deploy(judged, self.settings, self.ground()))
        assert run is not None
        return run

    def deploy(self) -> Run | None:
        """What `sophia deploy` does for prod."""
        self.restart()

        async def story() -> Run | None:
            targets = {**self.world.zones, self.prod.id: self.prod}
            judged = await make_plan(self.settings, targets, self.world.store, self.world.clock.now())
            return await deploy(judged, self.settings, self.ground())

        return asyncio.run(story())

    def heal(self, *, dry_run: bool = False) -> Healed:
        """One pass in a new process, with the stacks of the runs it has to end or to settle."""
        self.restart()

        async def story() -> Healed:
            store = self.world.store
            runs = [*await store.journal.open_runs(), *(one for one in await store.journal.runs() if one.ends)]
            for name in {leg.target for run in runs for leg in run.legs if leg.target.startswith("stack:")}:
                if name not in self.targets and self.has_cli:
                    self.stack(stack_of(name, self.settings.pulumi))
            return await heal(
                self.settings, self.ground("heal"), score, dry_run=dry_run, file=self.file, seals=self.seals
            )

        return asyncio.run(story())

    def rollback(self, run_id: str | None = None) -> tuple[Judged, Run]:
        async def story() -> Judged:
            return await plan_rollback(run_id, self.settings, self.ground("rollback"), self.file)

        judged = asyncio.run(story())
        run = self.apply(judged)
        asyncio.run(forget_empty(judged.plan.touched(), self.ground()))
        return judged, run

    def rows(self) -> dict[str, list[Record]]:
        names = {row.name for row in self.zone.zone.records}
        return {name: list(self.zone.zone.at(name)) for name in sorted(names)}

    @property
    def zone(self) -> MemoryZone:
        return self.world.zones[f"dns:{DOMAIN}"]
