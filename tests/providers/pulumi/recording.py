"""Calls of the Pulumi CLI kept as data: recorded from a real engine, and played back in the same order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sophia_cli.providers.pulumi.process import Call, Cli, Finished

RECORDED = Path(__file__).parent / "recorded"
_SCRATCH = re.compile(r"/state/pulumi/tmp/run-[^/\"]+")
_NOISE = ("stackTrace", "sourcePosition")
_CODE = "__provider"


class Recorder:
    """Runs each call for real and keeps what came of it: what was printed, and which configuration files it wrote."""

    def __init__(self, cli: Cli, root: Path) -> None:
        self._cli = cli
        self._root = root
        self.calls: list[dict[str, Any]] = []

    async def run(self, call: Call, on_line: Callable[[str], None] | None = None) -> Finished:
        lines: list[str] = []
        before = _files(call)

        def take(line: str) -> None:
            lines.append(line)
            if on_line is not None:
                on_line(line)

        finished = await self._cli.run(call, take if on_line else None)
        text = "\n".join(lines) if on_line else finished.stdout
        self.calls.append(
            {
                "args": [self._plain(arg) for arg in call.args],
                "code": finished.code,
                "stdout": [self._plain(line) for line in _trimmed(text)],
                "stderr": self._plain(finished.stderr),
                "files": {name: text for name, text in _files(call).items() if before.get(name) != text},
            }
        )
        return finished

    def _plain(self, text: str) -> str:
        return _SCRATCH.sub("/state/pulumi/tmp/run", text.replace(str(self._root), "<root>"))

    def save(self, path: Path) -> None:
        lines = [json.dumps(call, sort_keys=True) for call in self.calls]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Replay:
    """Answers each call with the next recorded one; a call that was not recorded at this place is a failure."""

    def __init__(self, path: Path, root: Path) -> None:
        self._calls = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self._root = root
        self._next = 0

    async def run(self, call: Call, on_line: Callable[[str], None] | None = None) -> Finished:
        recorded = self._calls[self._next]
        self._next += 1
        args = [_SCRATCH.sub("/state/pulumi/tmp/run", arg.replace(str(self._root), "<root>")) for arg in call.args]
        assert args == recorded["args"]
        for name, text in recorded["files"].items():
            _place(call, name).write_text(text, encoding="utf-8")
        out = [line.replace("<root>", str(self._root)) for line in recorded["stdout"]]
        if on_line is not None:
            for line in out:
                on_line(line)
            out = []
        return Finished(recorded["code"], "\n".join(out), recorded["stderr"])

    def is_over(self) -> bool:
        return self._next == len(self._calls)


def _place(call: Call, name: str) -> Path:
    if name == "<config>":
        return Path(call.args[call.args.index("--config-file") + 1])
    return call.cwd / name


def _files(call: Call) -> dict[str, str]:
    names = ["Pulumi.prod.yaml", *(["<config>"] if "--config-file" in call.args else [])]
    return {name: _place(call, name).read_text(encoding="utf-8") for name in names if _place(call, name).is_file()}


def _trimmed(text: str) -> list[str]:
    """The output without what differs between machines and says nothing: stack traces, and a provider's pickled code."""
    try:
        return [json.dumps(_without_noise(json.loads(text)), sort_keys=True)]
    except ValueError:
        pass
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.dumps(_without_noise(json.loads(line)), sort_keys=True))
        except ValueError:
            lines.append(line)
    return lines


def _without_noise(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_noise(item) for key, item in value.items() if key not in _NOISE}
        code = kept.get(_CODE)
        if isinstance(code, dict) and "plaintext" in code:
            kept[_CODE] = {**code, "plaintext": '"code"'}
        return kept
    return [_without_noise(item) for item in value] if isinstance(value, list) else value
