"""Intents that run a flow: plan, deploy, heal, undo, freeze and thaw, import, propose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sophia_cli.reasoning.intents.intent import Intent, flag, operands


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OptimizeInfrastructure(Intent):
    """Proposals of all specialists, to be accepted one by one."""

    name: ClassVar[str] = "optimize_infrastructure"
    writes: ClassVar[bool] = True
    because: str | None = None

    def _words(self) -> list[str]:
        return ["deploy", "--ai-enhanced"]

    def phrase(self) -> str:
        because = f" because {self.because}" if self.because else ""
        return f"propose improvements to the infrastructure{because}; each is accepted singly"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MakePlan(Intent):
    """What would change."""

    name: ClassVar[str] = "make_plan"
    environment: str | None = None
    target: str | None = None

    def _words(self) -> list[str]:
        return ["plan", *flag("--stack", self.environment), *flag("--target", self.target)]

    def phrase(self) -> str:
        return "show what would change" + _where(self.environment, self.target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Deploy(Intent):
    """The plan, applied under approval."""

    name: ClassVar[str] = "deploy"
    writes: ClassVar[bool] = True
    environment: str | None = None
    target: str | None = None

    def _words(self) -> list[str]:
        return ["deploy", *flag("--stack", self.environment), *flag("--target", self.target)]

    def phrase(self) -> str:
        return "apply what the environment file says" + _where(self.environment, self.target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heal(Intent):
    """Drift and faults, repaired as policy allows."""

    name: ClassVar[str] = "heal"
    writes: ClassVar[bool] = True
    target: str | None = None

    def _words(self) -> list[str]:
        return ["heal", *flag("--target", self.target)]

    def phrase(self) -> str:
        return "find drift and faults and repair what policy allows" + _where(None, self.target)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RollbackRun(Intent):
    """A run's changes, undone."""

    name: ClassVar[str] = "rollback_run"
    writes: ClassVar[bool] = True
    run: str

    def _words(self) -> list[str]:
        return ["rollback", *operands(self.run)]

    def phrase(self) -> str:
        return f"undo what the run {self.run} changed"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class UndoLast(Intent):
    """The last run's changes, undone."""

    name: ClassVar[str] = "undo_last"
    writes: ClassVar[bool] = True

    def _words(self) -> list[str]:
        return ["rollback"]

    def phrase(self) -> str:
        return "undo what the last run changed"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Freeze(Intent):
    """No writes until thawed; `target` None is everything."""

    name: ClassVar[str] = "freeze"
    writes: ClassVar[bool] = True
    target: str | None = None

    def _words(self) -> list[str]:
        return ["freeze", *operands(self.target)]

    def phrase(self) -> str:
        return f"stop all writes to {self.target or 'everything'}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Thaw(Intent):
    """Writes allowed again; `target` None is everything."""

    name: ClassVar[str] = "thaw"
    writes: ClassVar[bool] = True
    target: str | None = None

    def _words(self) -> list[str]:
        return ["thaw", *operands(self.target)]

    def phrase(self) -> str:
        return f"allow writes to {self.target or 'everything'} again"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ImportZone(Intent):
    """The live zone, written into the environment file."""

    name: ClassVar[str] = "import_zone"
    writes: ClassVar[bool] = True
    domain: str

    def _words(self) -> list[str]:
        return ["import", *operands(self.domain)]

    def phrase(self) -> str:
        return f"write the environment's dns section from the live zone {self.domain}"


def _where(environment: str | None, target: str | None) -> str:
    return (f", stack {environment}" if environment else "") + (f", only {target}" if target else "")
