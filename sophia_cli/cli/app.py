"""The command line: which module has which command, and `main`, where any error becomes a message and an exit code."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from sophia_cli.core.errors import Interrupted, SophiaError, UsageError

# Which module has which command, in the order of `sophia --help`.
ROOMS = {
    "analyze": "analyze",
    "plan": "plan",
    "deploy": "deploy",
    "heal": "heal",
    "ask": "ask",
    "approve": "approve",
    "rollback": "rollback",
    "import": "import_",
    "diff": "diff",
    "record": "record",
    "freeze": "freeze",
    "thaw": "freeze",
    "config": "config",
    "cert": "cert",
    "audit": "audit",
    "sandbox": "sandbox",
    "secrets": "secrets",
    "stack": "stack",
    "mcp": "mcp",
    "demo": "demo",
    "doctor": "doctor",
}


def _version(wanted: bool) -> None:
    if wanted:
        from sophia_cli import __version__

        print(f"sophia {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


def application(word: str | None = None) -> typer.Typer:
    """Every command; where `word` is one, only those of its module: making all of them takes longer than most commands do."""
    app = typer.Typer(
        name="sophia",
        help="An infrastructure copilot for Namecheap domains, Pulumi stacks and Pulumi ESC environments.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_root)
    for room in (ROOMS[word],) if word in ROOMS else dict.fromkeys(ROOMS.values()):
        import_module(f"sophia_cli.cli.{room}").register(app)
    return app


@functools.cache
def _commands(word: str | None) -> Any:
    """The tree of commands for calls that begin with a word, made once a process."""
    return get_command(application(word))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code is the contract's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        code = _commands(given[0] if given and given[0] in ROOMS else None)(args=given, standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except TyperException as exc:
        return _usage(exc, given)
    except SophiaError as exc:
        return _report(exc, given)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _report(Interrupted("interrupted; nothing was being written"), given)
    except BrokenPipeError:
        # The reader of stdout went away; point it at nothing so that the interpreter's last flush is quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except typer.Abort:
        return _report(Interrupted("interrupted"), given)
    except Exception as exc:  # noqa: BLE001  (the one border where a defect becomes a message)
        return _defect(exc, given)


def _usage(exc: TyperException, given: Sequence[str]) -> int:
    text = exc.format_message()
    if type(exc).__name__ == "NoArgsIsHelpError":
        print(text, file=sys.stderr)
        return UsageError.exit_code
    return _report(UsageError(text, hint="sophia --help, or sophia COMMAND --help"), given)


def _report(error: SophiaError, given: Sequence[str]) -> int:
    """Say an error on stderr, in the form the command was asked for, with every known secret taken out."""
    from sophia_cli.cli.redaction import redacted_error

    error = redacted_error(error)
    if _wants_json(given):
        from sophia_cli.output.json_v1 import envelope, error_data

        print(envelope("error", error_data(error)), end="", file=sys.stderr)
    else:
        from sophia_cli.output.runs import error_text

        colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        print(error_text(error, colour=colour), end="", file=sys.stderr)
    return error.exit_code


def _defect(exc: Exception, given: Sequence[str]) -> int:
    """A defect of sophia: no traceback for the user, and the means to report it."""
    if os.environ.get("SOPHIA_TRACEBACK"):
        raise exc
    where = exc.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = "" if where is None else f" ({os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno})"
    error = SophiaError(
        f"a defect in sophia: {type(exc).__name__}{place}",
        hint="nothing more was done; set SOPHIA_TRACEBACK=1 to see where, and please report it",
    )
    return _report(error, given)


def _wants_json(given: Sequence[str]) -> bool:
    for index, argument in enumerate(given):
        if argument in ("-ojson", "-o=json", "--output=json"):
            return True
        if argument in ("-o", "--output") and given[index + 1 : index + 2] == ["json"]:
            return True
    return False
