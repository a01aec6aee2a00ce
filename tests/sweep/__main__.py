"""`python -m tests.sweep`: the whole of the sweeps. Prints the numbers; exits 1 when anything was violated."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.sweep import matrix, writers
from tests.sweep.crash import Tally, kill_points, sampled, sweep, sweep_heal, writing_points
from tests.sweep.shared import shared
from tests.sweep.stage import KINDS, stage
from tests.sweep.zygote import zygote

PARTS = ("crash", "heal", "deploy", "faults", "writers")
FAULTED = ("update", "preference", "edit", "two zones")


def part(name: str, kind: str, count: int | None, seed: int, state: str) -> Tally:
    """One part of the sweep on one kind of plan, with the state in files or on a redis-server."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        server = stack.enter_context(shared()) if state == "redis" else None
        if name == "writers":
            return writers.race(Path(folder), 4, 5 if count is None else 2, server)
        with zygote() as warm, stage(kind, Path(folder), warm, server) as found:
            if name == "faults":
                every = list(matrix.cases(found))
                tally = matrix.run(found, [every[index] for index in sampled(range(len(every)), count, seed)])
                tally.gap_ms = matrix.gap_ms(found)
                return tally
            if name == "heal":
                chosen = sampled(writing_points(found), 4 if count is None else 1, seed)
                return sweep_heal(found, chosen, count, seed)
            settler = "deploy" if name == "deploy" else "heal"
            return sweep(found, sampled(kill_points(found.events), count, seed), settler=settler)


def jobs(parts: list[str]) -> list[tuple[str, str]]:
    """Which parts run on which kinds of plans."""
    kinds = {"faults": FAULTED, "writers": ("writers",), "heal": ("preference", "update", "edit", "two zones")}
    return [(name, kind) for name in parts for kind in kinds.get(name, tuple(KINDS))]


def main() -> int:
    """Run the parts, side by side on the machine's cores."""
    options = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__)
    options.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    options.add_argument("--sample", type=int, metavar="N", help="N cases of each part and kind instead of all")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--state", choices=["files", "redis"], default="files", help="where the state is kept")
    options.add_argument("--jobs", type=int, default=2)
    given = options.parse_args()
    if given.state == "redis" and shutil.which("redis-server") is None:
        print("--state redis needs the Debian package redis-server: make test-servers", file=sys.stderr)
        return 2
    started, sums = time.monotonic(), {name: Tally() for name in given.parts or PARTS}
    with ProcessPoolExecutor(given.jobs) as pool:
        running = {
            pool.submit(part, name, kind, given.sample, given.seed, given.state): (name, kind)
            for name, kind in jobs(list(sums))
        }
        for done in as_completed(running):
            name, kind = running[done]
            tally = done.result()
            sums[name].add(tally)
            print(f"{name:8} {kind:20} {tally.cases:5} cases, {len(tally.problems)} problems", file=sys.stderr)
            for problem in tally.problems[:20]:
                print(f"  {problem}", file=sys.stderr)
    said = {
        "crash": "kill points x plans, then heal",
        "heal": "kill points of heal while it settles, then heal again",
        "deploy": "kill points x plans, then deploy",
        "faults": "faults x API calls",
        "writers": "concurrent deploys on one zone",
    }
    for name, tally in sums.items():
        print(
            f"{said[name]}: {tally.cases}; lost records: {tally.lost}; as before {tally.as_before}, "
            f"as planned {tally.as_planned}; runs settled {tally.settled}; problems {len(tally.problems)}"
        )
        print("  exit codes: " + ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items())))
        if tally.torn:
            print(f"  audit logs that end in a torn line until the next event is said: {tally.torn}")
        if name == "faults":
            print(f"  foreign rows lost in the one call between our read and our write: {tally.gap}")
            print(f"  that call's width here, between the answer and the sending: {tally.gap_ms:.0f} ms")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if any(tally.problems for tally in sums.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
