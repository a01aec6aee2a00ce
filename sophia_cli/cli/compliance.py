"""`sophia analyze --framework NAME [--evidence DIR]`: an analysis held against controls, and the evidence on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sophia_cli.cli.options import Common, Output
from sophia_cli.cli.printing import note, only, result

if TYPE_CHECKING:
    from sophia_cli.core.compliance import Assessment, Framework
    from sophia_cli.flows.analyze import Analysis
    from sophia_cli.flows.compliance import Gathered

_SUMS = "SHA256SUMS"
_FORMS = (Output.text, Output.json, Output.markdown, Output.html)


def framework_of(name: str) -> Framework:
    """A framework by name. Raises `UsageError` naming the known ones."""
    from importlib.resources import files

    from sophia_cli.core.compliance import Framework
    from sophia_cli.core.errors import UsageError

    folder = files("sophia_cli.core") / "frameworks"
    known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
    if name.lower() not in known:
        raise UsageError(f"--framework {name}: there is no such framework", hint=f"known: {', '.join(known)}")
    return Framework.from_data(json.loads((folder / f"{name.lower()}.json").read_text(encoding="utf-8")))


async def report(common: Common, analysis: Analysis, name: str, folder: Path | None, *, has_state: bool) -> Assessment:
    """Print the assessment; with a folder, write the bundle first. A zone file alone has no state to show."""
    from sophia_cli.flows.compliance import Gathered, assessed, gather

    only(common, *_FORMS)
    framework = framework_of(name)
    gathered = Gathered()
    if has_state:
        from sophia_cli.cli.environments import load_settings
        from sophia_cli.cli.secrets import inventory_of
        from sophia_cli.cli.state import local_state
        from sophia_cli.flows.compliance import with_secrets

        environment, settings = await load_settings(common)
        gathered = await gather(local_state(common).store, settings, analysis.targets)
        gathered = with_secrets(gathered, await inventory_of(common, environment, settings))
    assessment = assessed(framework, analysis.data(), gathered)
    if folder is not None:
        _write(folder, analysis, assessment, gathered)
        note(common, f"evidence: {folder} (verify it there with: sha256sum -c {_SUMS})")
    result(_rendered(common, assessment))
    return assessment


def _rendered(common: Common, assessment: Assessment) -> str:
    from sophia_cli.cli.printing import wants_colour
    from sophia_cli.output import compliance as forms
    from sophia_cli.output.json_v1 import envelope

    data = assessment.data()
    if common.output is Output.json:
        return envelope("compliance", data)
    if common.output is Output.markdown:
        return forms.markdown(data)
    return forms.html(data) if common.output is Output.html else forms.text(data, colour=wants_colour(common))


def _write(folder: Path, analysis: Analysis, assessment: Assessment, gathered: Gathered) -> None:
    """Write the bundle into an empty or new folder (0700, files 0600): the same state gives the same bytes.

    Raises `UsageError` for a folder that holds something, so that no old file is taken for evidence of today.
    """
    from sophia_cli.cli.redaction import redacted
    from sophia_cli.core.errors import StateError, UsageError
    from sophia_cli.flows.compliance import manifest, scrubbed
    from sophia_cli.output import compliance as forms

    data: dict[str, Any] = {**(gathered.files or {})}
    data["analysis.json"] = scrubbed({**analysis.data(), "findings": [dict(one) for one in assessment.open]})
    data["compliance.json"] = {name: part for name, part in assessment.data().items() if name != "findings"}
    texts = {
        name: json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n" for name, value in data.items()
    }
    texts["compliance.md"] = forms.markdown(assessment.data())
    files = {name: redacted(text).encode("utf-8", "backslashreplace") for name, text in texts.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    listed = json.dumps(manifest(files, hashes, assessment), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    sums = {**hashes, "manifest.json": hashlib.sha256(listed.encode()).hexdigest()}
    check = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))  # as sha256sum -c reads it
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--evidence {folder}: the folder is not empty", hint="name a new one")
        for name, content in {**files, "manifest.json": listed.encode(), _SUMS: check.encode()}.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
    except OSError as exc:
        raise StateError(f"--evidence {folder}: {exc.strerror or exc}", hint="name another folder") from exc
