"""The CLI as a child process: real processes that hang, ignore signals, print long lines and leave files behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from sophia_cli.providers.pulumi.process import Call, PulumiCli, found_cli
from sophia_cli.providers.pulumi.scratch import changing, private_folder, working_in


def script(folder: Path, body: str) -> Path:
    path = folder / "pulumi"
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def call(folder: Path, *args: str, limit_s: float = 30.0, stdin: str | None = None) -> Call:
    return Call(args, folder, {"PATH": os.environ["PATH"]}, limit_s, stdin)


def cli(folder: Path, body: str, grace_s: float = 5.0) -> PulumiCli:
    return PulumiCli(script(folder, body), folder / "scratch", folder / "logs", grace_s)


def test_output_errors_and_exit_code_are_kept_apart(tmp_path: Path) -> None:
    runner = cli(tmp_path, 'echo "args: $*"; echo oops >&2; cat; exit 3')
    finished = asyncio.run(runner.run(call(tmp_path, "a", "b c", stdin="given\n")))
    assert (finished.code, finished.stdout, finished.stderr) == (3, "args: a b c\ngiven", "oops")


def test_a_line_may_be_longer_than_any_buffer(tmp_path: Path) -> None:
    lines: list[str] = []
    runner = cli(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
    finished = asyncio.run(runner.run(call(tmp_path), lines.append))
    assert [len(line) for line in lines] == [3_000_000, 3]
    assert finished.stdout == ""


def test_a_cli_that_speaks_and_hangs_is_stopped_at_its_time_limit(tmp_path: Path) -> None:
    runner = cli(tmp_path, "trap 'echo stopping >&2; exit 1' INT; echo waiting >&2; sleep 600 & wait")
    finished = asyncio.run(runner.run(call(tmp_path, limit_s=0.5)))
    assert finished.timed_out
    assert finished.stderr.splitlines()[0] == "waiting"


def test_a_cli_that_ignores_signals_is_killed_with_its_plugins(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.pid"
    body = f"trap '' INT TERM; sleep 600 & echo $! > {plugin}; while true; do sleep 1; done"
    given = call(tmp_path, limit_s=0.5)
    finished = asyncio.run(cli(tmp_path, body, grace_s=0.2).run(given))
    assert finished.timed_out
    assert given.killed.is_set()
    with pytest.raises(ProcessLookupError):
        _assert_dead(int(plugin.read_text()))


def test_a_cancelled_caller_interrupts_the_cli_and_waits_for_it(tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"
    body = f"trap 'echo clean > {done}; exit 1' INT; echo > {begun}; sleep 600 & wait"

    async def cancelled() -> None:
        given = call(tmp_path)
        task = asyncio.create_task(cli(tmp_path, body).run(given))
        while not begun.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done.read_text() == "clean\n"
        assert not given.killed.is_set()

    asyncio.run(cancelled())


def test_a_caller_cancelled_while_the_cli_starts_is_not_held_by_its_plugins(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.pid"
    body = f"trap 'exit 1' INT; sleep 600 & echo $! > {plugin}; wait"

    async def cancelled() -> None:
        task = asyncio.create_task(cli(tmp_path, body, grace_s=0.5).run(call(tmp_path)))
        await asyncio.sleep(0)  # the loop has begun to start it, and no more
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    if plugin.exists() and plugin.read_text().strip():
        with pytest.raises(ProcessLookupError):
            _assert_dead(int(plugin.read_text()))


@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -9 $$"])
def test_no_temporary_file_or_log_remains(tmp_path: Path, end: str) -> None:
    body = f"mkdir -p {tmp_path}/logs; echo secret > {tmp_path}/logs/log; echo secret > $TMPDIR/state.json; {end}"
    asyncio.run(cli(tmp_path, body).run(call(tmp_path)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "pulumi"]


def test_what_a_killed_process_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    with private_folder(tmp_path) as first:
        name = first.name
    left = tmp_path / name.replace(str(os.getpid()), str(dead), 1)
    alive = tmp_path / name.replace(str(os.getpid()), str(os.getppid()), 1)
    elsewhere = tmp_path / f"run-{dead}-00000000-abc"
    for folder in (left, alive, elsewhere):
        folder.mkdir()
        (folder / "state.json").write_text("secret")
    with private_folder(tmp_path) as mine:
        assert mine.stat().st_mode & 0o077 == 0
        assert sorted(tmp_path.iterdir()) == sorted([alive, elsewhere, mine])
    assert sorted(tmp_path.iterdir()) == sorted([alive, elsewhere])


def test_the_child_sees_the_given_environment_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMECHEAP_API_KEY", "key-of-sophia")
    finished = asyncio.run(cli(tmp_path, "env").run(call(tmp_path)))
    names = {line.partition("=")[0] for line in finished.stdout.splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "TMPDIR", "PULUMI_CREDENTIALS_PATH"}


def test_a_login_is_kept_nowhere_unless_the_home_is_the_users(tmp_path: Path) -> None:
    say = 'echo "$PULUMI_CREDENTIALS_PATH|$TMPDIR"'
    script(tmp_path, say)
    own = PulumiCli(tmp_path / "pulumi", tmp_path / "tmp", tmp_path / "logs")
    login, _, temporary = asyncio.run(own.run(call(tmp_path))).stdout.partition("|")
    assert (login, Path(login).exists()) == (temporary, False)
    assert asyncio.run(PulumiCli(tmp_path / "pulumi", tmp_path / "tmp").run(call(tmp_path))).stdout[0] == "|"


def test_a_cli_that_closes_its_input_early_is_no_failure(tmp_path: Path) -> None:
    finished = asyncio.run(cli(tmp_path, "exec <&-; exit 0").run(call(tmp_path, stdin="x" * 1_000_000)))
    assert finished.code == 0


def test_the_cli_is_the_named_one_then_the_one_on_path_then_the_official_place(tmp_path: Path) -> None:
    for name in ("path", "home/.pulumi/bin", "named"):
        (tmp_path / name).mkdir(parents=True)
        script(tmp_path / name, "exit 0")
    environ = {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "empty")}
    assert found_cli(environ) == str(tmp_path / "home/.pulumi/bin/pulumi")
    environ["PATH"] = str(tmp_path / "path")
    assert found_cli(environ) == str(tmp_path / "path/pulumi")
    environ["SOPHIA_PULUMI"] = str(tmp_path / "named/pulumi")
    assert found_cli(environ) == str(tmp_path / "named/pulumi")
    assert found_cli({"HOME": str(tmp_path), "PATH": ""}) is None


def _assert_dead(pid: int) -> None:
    """Raises `ProcessLookupError` once the process is gone; a zombie of another parent counts as gone."""
    os.kill(pid, 0)
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat", encoding="ascii") as stream:
        if stream.read().rpartition(")")[2].split()[0] == "Z":
            raise ProcessLookupError
    os.kill(pid, signal.SIGKILL)


def test_a_plugin_that_outlives_the_cli_does_not_hold_the_command(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.pid"
    finished = asyncio.run(cli(tmp_path, f"echo said; sleep 600 & echo $! > {plugin}; exit 4").run(call(tmp_path)))
    assert (finished.code, finished.stdout, finished.timed_out) == (4, "said", False)
    with pytest.raises(ProcessLookupError):
        _assert_dead(int(plugin.read_text()))


def test_a_command_that_changes_a_stack_goes_on_when_its_caller_is_killed(tmp_path: Path) -> None:
    """The caller is a process of its own here: it starts the CLI, is killed, and the CLI still prints and ends."""
    script(tmp_path, "trap '' PIPE; echo begun; while [ ! -e go ]; do sleep 0.02; done; echo more; touch ended")
    caller = os.fork()
    if caller == 0:
        given = Call((), tmp_path, {"PATH": os.environ["PATH"]}, 30.0, changes="o/p/prod")
        asyncio.run(
            PulumiCli(tmp_path / "pulumi", tmp_path / "scratch").run(given, lambda line: os.kill(os.getpid(), 9))
        )
    os.waitpid(caller, 0)
    going = changing(tmp_path / "scratch", "o/p/prod")
    assert going is not None
    assert changing(tmp_path / "scratch", "o/p/other") is None
    with private_folder(tmp_path / "scratch"):
        assert changing(tmp_path / "scratch", "o/p/prod") == going  # a neighbour's command leaves it alone
    (tmp_path / "go").touch()
    while changing(tmp_path / "scratch", "o/p/prod") is not None:
        time.sleep(0.02)
    assert (tmp_path / "ended").exists()
    with private_folder(tmp_path / "scratch") as own:
        assert list((tmp_path / "scratch").iterdir()) == [own]


def test_plugins_that_a_killed_engine_left_are_ended_by_the_next_command(tmp_path: Path) -> None:
    script(tmp_path, "setsid sleep 600 & echo begun; wait")
    caller = os.fork()
    if caller == 0:
        given = call(tmp_path)
        asyncio.run(
            PulumiCli(tmp_path / "pulumi", tmp_path / "scratch").run(given, lambda line: os.kill(os.getpid(), 9))
        )
    os.waitpid(caller, 0)
    (folder,) = (tmp_path / "scratch").iterdir()
    left = working_in(folder)
    assert left
    with private_folder(tmp_path / "scratch"):
        for pid in left:
            with pytest.raises(ProcessLookupError):
                _assert_dead(pid)
