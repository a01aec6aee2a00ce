"""The API: parameters in, XML out. Pure: the account before and after are values, time is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sophia_cli.sandbox.account import Account, Refusal, Switches
from sophia_cli.sandbox.commands import contacts, dns, domains, ns, privacy, ssl, users
from sophia_cli.sandbox.commands.call import Call, Command, Done
from sophia_cli.sandbox.envelope import Node, envelope

COMMANDS: Mapping[str, Command] = {
    command.name.lower(): command
    for topic in (domains, contacts, dns, users, ssl, ns, privacy)
    for command in topic.COMMANDS
}
# Global parameters in the order in which their absence is reported (recorded).
_REQUIRED = (
    ("apiuser", 1010101, "Parameter APIUser is missing"),
    ("apikey", 1010102, "Parameter APIKey is missing"),
    ("command", 1010104, "Parameter Command is missing"),
    ("clientip", 1010105, "Parameter ClientIP is missing"),
)
_QUAD = re.compile(r"\d{1,3}(\.\d{1,3}){3}\Z")
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer and the account after the call (the same object when nothing changed)."""

    account: Account
    body: bytes
    status: int = 200
    number: int = 0
    """The error number; 0 when the call was done."""


def command_name(params: Mapping[str, str]) -> str:
    """The canonical name of the command asked for; as sent when it is unknown."""
    sent = params.get("command", "").strip()
    known = COMMANDS.get(sent.lower())
    return known.name if known else sent


def answer(account: Account, params: Mapping[str, str], source: str, switches: Switches, now: float) -> Reply:
    """The answer to one call. `params` has lower-case names; `source` is the address that the call came from."""
    try:
        command = _admitted(account, params, source, switches)
    except Refusal as refusal:
        return Reply(account, envelope(errors=((refusal.number, refusal.text),)), number=refusal.number)
    if switches.limits != "off":
        if _over_limit(account.calls, switches, now):
            return _limited(account, switches)
        recent = tuple(call for call in account.calls if now - call < _DAY)
        account = replace(account, calls=(*recent, now))
    return _done(account, command, Call(account, params, switches, now))


def _admitted(account: Account, params: Mapping[str, str], source: str, switches: Switches) -> Command:
    for name, number, text in _REQUIRED:
        if not params.get(name, "").strip():
            raise Refusal(number, text)
    if not _QUAD.match(params["clientip"].strip()):
        raise Refusal(1011105, "Parameter ClientIP is invalid")
    if params["apiuser"] != account.api_user or params["apikey"] != account.api_key:
        raise Refusal(1011102, "API Key is invalid or API access has not been enabled")
    if switches.whitelist is not None and source not in switches.whitelist:
        raise Refusal(1011150, f"Invalid request IP: {source}")
    if params.get("username", account.username) != account.username:
        raise Refusal(1016103, "UserName is unauthorized")
    command = COMMANDS.get(params["command"].strip().lower())
    if command is None:
        raise Refusal(switches.number_unknown_command, "Parameter Command is invalid")
    return command


def _over_limit(calls: tuple[float, ...], switches: Switches, now: float) -> bool:
    windows = ((_MINUTE, switches.limit_minute), (_HOUR, switches.limit_hour), (_DAY, switches.limit_day))
    return any(sum(now - call < window for call in calls) >= limit for window, limit in windows)


def _limited(account: Account, switches: Switches) -> Reply:
    if switches.limits == "legacy":
        return Reply(account, envelope(errors=((500000, "Too many requests"),)), number=500000)
    return Reply(account, b"Method Not Allowed", 405, 405)


def _done(account: Account, command: Command, call: Call) -> Reply:
    try:
        done = command.run(call)
    except Refusal as refusal:
        done = Done(command.skeleton(call))
        return Reply(account, _body(command, done.result, refusal), number=refusal.number)
    return Reply(account if done.account is None else done.account, _body(command, done.result, None))


def _body(command: Command, result: tuple[Node, ...], refusal: Refusal | None) -> bytes:
    errors = ((refusal.number, refusal.text),) if refusal else ()
    # Recorded: the last part of the requested command is lower-cased; the type is canonical.
    head, _, tail = command.name.rpartition(".")
    return envelope(
        command=f"{head}.{tail.lower()}", type_=command.name, errors=errors, result=result, execution="0.031"
    )


def refused(params: Mapping[str, str], number: int, text: str) -> bytes:
    """The error answer of a fault, with the command's skeleton as the real one has it."""
    command = COMMANDS.get(params.get("command", "").strip().lower())
    if command is None:
        return envelope(errors=((number, text),))
    call = Call(Account("", "", ""), params, Switches(), 0.0)
    return _body(command, command.skeleton(call), Refusal(number, text))
