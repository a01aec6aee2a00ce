"""Where a stack's program is: a project folder of the user, or a small one made for a Python function. Runs nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sophia_cli.core.errors import InvalidEnvironment, ProviderRefused, UsageError

PROJECT_FILES = ("Pulumi.yaml", "Pulumi.yml")
DIY_ORGANIZATION = "organization"  # the only one a file or bucket backend has (Pulumi, "DIY backends")


@dataclass(frozen=True, slots=True)
class Project:
    """A program that the CLI can run. `folder` holds `Pulumi.yaml`, `config_folder` the stacks' configuration.

    `path_first` is put before PATH, so that a function runs in the interpreter that sophia runs in. `is_made`: it was made
    here for a function, so its files are this machine's, and no other one knows them. `virtualenv` is the one that the
    project file names.
    """

    name: str
    folder: Path
    config_folder: Path
    backend: str | None = None
    path_first: tuple[str, ...] = ()
    is_made: bool = False
    virtualenv: Path | None = None

    def require_prepared(self) -> None:
        """Refuse to run a program whose virtual environment is missing: the CLI would make it, also for a preview."""
        if self.virtualenv is not None and not self.virtualenv.is_dir():
            raise ProviderRefused(
                f"{self.folder}: the program's virtual environment is missing ({self.virtualenv})",
                hint=f"make it: cd {self.folder} && pulumi install",
            )

    def config_file(self, stack: str) -> Path:
        """The configuration file of a stack, given as `ORG/PROJECT/NAME`."""
        return self.config_folder / f"Pulumi.{stack.rpartition('/')[2]}.yaml"


def is_cloud(backend: str | None) -> bool:
    """Whether a backend is Pulumi Cloud or speaks its protocol; no backend named means Pulumi Cloud."""
    return backend is None or backend.startswith(("https://", "http://"))


def local_project(work_dir: Path) -> Project:
    """The user's own project in a folder. Raises `InvalidEnvironment` when there is none or it cannot be read."""
    path = project_file(work_dir)
    data = _yaml(path)
    name = data.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidEnvironment(f"{path}: the project has no name", hint="add a line such as: name: shop")
    folder = data.get("stackConfigDir") or data.get("config")
    backend = data.get("backend")
    url = backend.get("url") if isinstance(backend, Mapping) else None
    config_folder = work_dir / folder if isinstance(folder, str) else work_dir
    return Project(
        name, work_dir, config_folder, url if isinstance(url, str) else None, virtualenv=_virtualenv(data, work_dir)
    )


def _virtualenv(data: Mapping[str, Any], work_dir: Path) -> Path | None:
    """`runtime.options.virtualenv` of a project file (Pulumi, "Project file reference")."""
    runtime = data.get("runtime")
    options = runtime.get("options") if isinstance(runtime, Mapping) else None
    named = options.get("virtualenv") if isinstance(options, Mapping) else None
    return work_dir / named if isinstance(named, str) and named else None


def project_file(work_dir: Path) -> Path:
    """The project file of a folder. Raises `InvalidEnvironment` when there is none."""
    path = next((work_dir / name for name in PROJECT_FILES if (work_dir / name).is_file()), None)
    if path is None:
        raise InvalidEnvironment(
            f"{work_dir}: there is no Pulumi project (no {PROJECT_FILES[0]})",
            hint="name the folder that holds it: pulumi.work_dir",
        )
    return path


def inline_project(program: str, name: str, base: Path, folder: Path) -> Project:
    """A project that runs a Python function, `module:function`, with `base` as its folder for modules.

    Its files lie in `folder`, where the stack's configuration stays as well: it holds the salt of the stack's secrets.
    Raises `InvalidEnvironment` when `program` names no function.
    """
    module, _, function = program.partition(":")
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", module) or not function.isidentifier():
        raise InvalidEnvironment(f"pulumi.program: {program!r} is not MODULE:FUNCTION", hint="such as: infra.web:stack")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise InvalidEnvironment(f"pulumi: {name!r} is no name for a project", hint="use letters, digits, _ . and -")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = (
        "import importlib",
        "import sys",
        "",
        f"sys.path.insert(0, {str(base)!r})",
        f"importlib.import_module({module!r}).{function}()",
        "",
    )
    _keep(folder / "__main__.py", "\n".join(lines))
    _keep(folder / PROJECT_FILES[0], f"name: {name}\nruntime: python\n")
    return Project(name, folder, folder, None, (str(Path(sys.executable).parent),), is_made=True)


def _keep(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def qualified(stack: str, project: str, backend: str | None, organization: str | None = None) -> str:
    """`ORG/PROJECT/NAME` of a stack named in one, two or three parts. Raises `UsageError` when the organization is missing."""
    parts = stack.split("/")
    if len(parts) > 3 or not all(re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", part) for part in parts):
        raise UsageError(f"{stack!r} is not a stack name", hint="use NAME, PROJECT/NAME or ORG/PROJECT/NAME")
    if len(parts) == 3:
        given, named, name = parts
    else:
        given, named, name = "", parts[0] if len(parts) == 2 else project, parts[-1]
    if named != project:
        raise UsageError(f"{stack}: the program is of project {project}", hint=f"name the stack {project}/{name}")
    if not is_cloud(backend):
        if given not in ("", DIY_ORGANIZATION):
            raise UsageError(
                f"{stack}: a file or bucket backend has one organization, `{DIY_ORGANIZATION}`",
                hint=f"name the stack {DIY_ORGANIZATION}/{project}/{name}",
            )
        return f"{DIY_ORGANIZATION}/{project}/{name}"
    if not (given or organization):
        raise UsageError(
            f"{stack}: Pulumi Cloud needs to know the organization",
            hint=f"name the stack ORG/{project}/{name}, or set PULUMI_ORGANIZATION",
        )
    return f"{given or organization}/{project}/{name}"


def absolute_backend(backend: str | None, base: Path) -> str | None:
    """A backend whose file path is relative (`file://./state`), made absolute against the environment's folder."""
    if backend is None or not backend.startswith("file://"):
        return backend
    path = backend.removeprefix("file://").partition("?")[0]
    query = backend[len("file://") + len(path) :]
    real = Path(path).expanduser()
    return f"file://{real if real.is_absolute() else (base / real).resolve()}{query}"


def _yaml(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(path)
    except (OSError, UnicodeDecodeError, YAMLError) as exc:
        raise InvalidEnvironment(f"{path}: the project file cannot be read: {exc}", hint="mend it") from exc
    return data if isinstance(data, Mapping) else {}
