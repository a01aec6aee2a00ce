"""Where the environment file of a folder lies. Reads a file only to see what it imports; evaluates nothing."""

from __future__ import annotations

from pathlib import Path

from sophia_cli.core.errors import InvalidEnvironment

NAMED = "sophia.yaml"
FOLDERS = ("infrastructure/esc", "esc")
SUFFIXES = (".yaml", ".yml")


def find(start: Path) -> Path:
    """The environment file of a folder: upward, `sophia.yaml`, else the one file that no other imports in
    `infrastructure/esc/` or `esc/`. Raises InvalidEnvironment when there is none, or more than one.
    """
    given, start = start, start.absolute()
    for folder in (given, *start.parents):
        named = folder / NAMED
        if named.is_file():
            return named
        for name in FOLDERS:
            if (folder / name).is_dir():
                roots = _roots(folder / name)
                if len(roots) == 1:
                    return roots[0]
                if roots:
                    listed = ", ".join(path.name for path in roots)
                    raise InvalidEnvironment(
                        f"{folder / name}: several environments that no other imports: {listed}",
                        hint=f"say which one: -e {roots[0]}",
                        details={"diagnostics": [], "candidates": [str(path) for path in roots]},
                    )
    raise InvalidEnvironment(
        f"no environment file: neither {NAMED} nor {' nor '.join(f'{name}/' for name in FOLDERS)} in {start} or above",
        hint="name one with -e FILE, or start one with: sophia import DOMAIN",
        details={"diagnostics": []},
    )


def _roots(folder: Path) -> list[Path]:
    from sophia_cli.esc.definitions import define  # reads YAML, which looking for a file by name does not need

    files = sorted(path for suffix in SUFFIXES for path in folder.glob(f"*{suffix}") if path.is_file())
    imported: set[str] = set()
    for path in files:
        try:
            definition = define(path.read_bytes(), name=path.stem, identity=str(path), file=str(path))
        except OSError:
            continue  # it cannot be read, so what it imports is not known; loading it says so
        imported |= {one.name.partition("@")[0] for one in definition.imports}
    return [path for path in files if path.stem not in imported]
