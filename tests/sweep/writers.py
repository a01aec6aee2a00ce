"""Two writers and more: deploys from several processes on one zone that share a state, each of its own records."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from sophia_cli.sandbox import peek, running, seed
from tests.sweep.crash import Tally
from tests.sweep.shared import Shared
from tests.sweep.stage import ONE, ROWS
from tests.sweep.zygote import Zygote, zygote


def race(folder: Path, writers: int, rounds: int, shared: Shared | None = None) -> Tally:
    """Each writer moves its own record round after round, until each deploy has ended with 0. No update may be lost."""
    tally, data = Tally(), folder / "namecheap.json"
    state = str(folder / "state") if shared is None else shared.url
    start = [(f"w{number}", "A", "203.0.113.1", 1800) for number in range(writers)]
    seed(data, ONE, email_type="FWD", rows=(*ROWS, *start))
    with running(data) as box, contextlib.ExitStack() as stack:
        # A slow write: whoever writes beside it, on the strength of an older read, loses the other's update.
        box.fault("latency", command="setHosts", seconds=0.1, count=None)
        keys = "\n".join(
            f"    {key}: {{fn::secret: {value}}}"
            for key, value in {"api_user": box.api_user, "api_key": box.api_key, "username": box.username}.items()
        )

        def write(number: int, turn: int) -> Path:
            file = folder / f"w{number}.yaml"
            file.write_text(
                f'values:\n  dns:\n    domain: {ONE}\n    nameservers: ["{box.dns}"]\n    records:\n'
                f"      mine: {{type: A, name: w{number}, value: 203.0.113.{10 + turn}}}\n"
                f"      turn{turn}: {{type: TXT, name: t{number}-{turn}, value: made}}\n"
                f"  namecheap:\n    endpoint: {box.endpoint}\n{keys}\n"
                "  ai_infrastructure: {limits: {per_day: 100000, max_percent: 100}}\n"
            )
            return file

        def work(number: int, mine: Zygote) -> None:
            for turn in range(rounds):
                file = write(number, turn)
                for _ in range(500):
                    ended = mine.run("deploy", "--yes", "--wait", "0", "-e", str(file), "--state", state, cwd=folder)
                    tally.codes[f"deploy {ended.code}"] = tally.codes.get(f"deploy {ended.code}", 0) + 1
                    if ended.code == 0:
                        break
                    if ended.code not in (3, 6):
                        tally.problems.append(f"writer {number}, turn {turn}: exit {ended.code}: {ended.err}")
                        return
                else:
                    tally.problems.append(f"writer {number} never came through")

        threads = [
            threading.Thread(target=work, args=(number, stack.enter_context(zygote()))) for number in range(writers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tally.cases = writers * rounds
        for missing in _missing(data, writers, rounds):
            tally.lost += 1
            tally.problems.append(f"lost: {missing}")
        audited = stack.enter_context(zygote()).run("audit", "verify", "--state", state, cwd=folder)
        if audited.code != 0:
            tally.problems.append(f"the audit log: {audited.out}{audited.err}")
    return tally


def _missing(data: Path, writers: int, rounds: int) -> Iterator[object]:
    domain = peek(data, ONE)
    assert domain is not None
    there = {(row.name, row.type, row.address) for row in domain.rows}
    for number in range(writers):
        if (f"w{number}", "A", f"203.0.113.{9 + rounds}") not in there:
            yield f"w{number}: {sorted(row for row in there if row[0] == f'w{number}')}"
        # Each turn names one more record and no longer the last turn's, so that only the last one is there.
        if (f"t{number}-{rounds - 1}", "TXT", "made") not in there:
            yield f"t{number}-{rounds - 1}"
    yield from ({row[:3] for row in ROWS} - there)
    if domain.email_type != "FWD":
        yield f"mail mode {domain.email_type}"
