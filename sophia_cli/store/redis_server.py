"""A Redis server as the state knows it: its address, its keys, and its failures as ours. Knows nothing of what is kept there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from sophia_cli.core.dns import shown as quoted
from sophia_cli.core.errors import StateError, UsageError

if TYPE_CHECKING:
    from redis import Redis

SCHEMES = ("redis", "rediss", "unix")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_PASSED_ON = ("db", "username", "password", *_FILES)
_SHAPE = "redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=TEAM], rediss://... or unix:///PATH[?db=N&prefix=TEAM]"
TIMEOUT_S = 5.0

_SWAP = """
local held = redis.call('GET', KEYS[1])
if ARGV[1] == '0' then
  if held then return 0 end
elseif held ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
if tonumber(ARGV[4]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is. `shown` may be printed; `url` holds the password and may not.

    `files` are the TLS options of a `rediss` URL, name and path: the authority to believe (else the system's, or the one in
    the process variable `SSL_CERT_FILE`), and our own certificate and key where the server asks for one.
    """

    shown: str
    prefix: str
    files: tuple[tuple[str, str], ...]
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def address_of(url: str) -> Address:
    """The address of a state URL. Raises `UsageError`, which repeats nothing of it: a badly quoted password may be anywhere."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        port, host = parts.port, parts.hostname
    except ValueError:
        raise _unusable("it cannot be read") from None
    prefix = options.pop("prefix", "sophia")
    if parts.scheme not in SCHEMES:
        raise _unusable("its scheme is none of redis, rediss and unix")
    if not set(options) <= set(_PASSED_ON) or parts.fragment:
        raise _unusable("it has a part that means nothing here")
    files = tuple((name, options[name]) for name in _FILES if name in options)
    if files and parts.scheme != "rediss":
        raise _unusable("certificates are for rediss://")
    if not prefix or not all(one.isascii() and (one.isalnum() or one in "._-{}") for one in prefix) or len(prefix) > 64:
        raise _unusable("its prefix is not made of letters, digits and ._-{}")
    database = parts.path.strip("/") if parts.scheme != "unix" else ""
    if not (database + options.get("db", "")).isdigit() and (database or "db" in options):
        raise _unusable("its database is not a number")
    if (parts.scheme == "unix" and not parts.path) or (parts.netloc and parts.scheme != "unix" and not host):
        raise _unusable("it names no server")
    passwords = (unquote(parts.password or ""), parts.password or "", options.get("password", ""))
    if parts.scheme == "unix":
        shown = f"unix://{parts.path}"
    else:
        name = f"[{host}]" if host and ":" in host else host or "localhost"
        shown = f"{parts.scheme}://{name}:{port or 6379}/{database or options.get('db', '0')}"
    plain = f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{urlencode(options)}" if options else "")
    return Address(shown, prefix, files, plain, tuple(sorted({one for one in passwords if one}, key=len, reverse=True)))


def _unusable(why: str) -> UsageError:
    return UsageError(f"--state: this is not a state URL: {why}", hint=f"{_SHAPE}; percent-encode the password")


class Server:
    """One server and one prefix. The synchronous client runs in a thread; nothing is opened before it is used.

    Every failure becomes a `StateError`. Nothing is repeated by itself, since a lost answer may be that of a command
    that was executed.
    """

    def __init__(self, address: Address, *, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._redis: Redis | None = None

    def key(self, *parts: str) -> str:
        """A key of ours: below the prefix, each part without a colon of its own."""
        return ":".join((self.address.prefix, *(quote(part, safe=" @+=,*", errors="surrogatepass") for part in parts)))

    def place(self, *parts: str) -> str:
        """A key as messages name it."""
        return f"{self.address.shown} {self.key(*parts)}"

    async def swap(self, key: str, before: bytes | None, after: str, keep_ms: int = 0) -> bool:
        """Set a key that still holds what it held before (None: nothing); False when it does not. 0 keeps it for ever."""
        known: list[str | bytes | int] = [int(before is not None), before or b"", after, keep_ms]
        return bool(await self.run(_SWAP, [key], known))

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """Run a script: one atomic step."""
        return await self.command("EVAL", script, len(keys), *keys, *arguments)

    async def command(self, *words: str | bytes | int) -> Any:
        """Run one command. It is not abandoned half way: who is cancelled meanwhile waits for its end first."""
        client = self._client()
        work = asyncio.ensure_future(asyncio.to_thread(self._execute, client.execute_command, words))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            if not work.cancelled():
                work.exception()  # seen; the cancellation is what the caller hears of
            raise

    def _execute(self, execute: Callable[..., Any], words: Sequence[str | bytes | int]) -> Any:
        from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
        from redis.exceptions import ConnectionError as NotConnected
        from redis.exceptions import TimeoutError as NoAnswer

        shown = self.address.shown
        try:
            return execute(*words)
        except (AuthenticationError, AuthorizationError) as exc:
            raise StateError(
                f"state {shown}: the server rejects the user or the password", hint="mend --state or SOPHIA_STATE"
            ) from exc
        except (NotConnected, NoAnswer, OSError) as exc:
            why = "no answer in time" if isinstance(exc, NoAnswer) else self._plain(exc)
            hint = "start the server or mend --state; runs stay in the local journal until then"
            if "CERTIFICATE_VERIFY_FAILED" in why:
                hint = "name the authority of its certificate: rediss://...?ssl_ca_certs=FILE, or SSL_CERT_FILE=FILE"
            raise StateError(f"state {shown}: the server cannot be reached: {why}", hint=hint) from exc
        except ResponseError as exc:
            if str(exc).startswith("WRONGTYPE") and words[0] != "EVAL":
                raise StateError(
                    f"{shown} {words[1]!s} holds something else than sophia wrote there (WRONGTYPE)",
                    hint="restore it from a backup, or remove it",
                ) from exc
            raise StateError(
                f"state {shown}: the server refused: {self._plain(exc)}",
                hint="look at its memory, its disk, its rights and whether it is a replica",
            ) from exc
        except RedisError as exc:
            raise StateError(f"state {shown}: {self._plain(exc)}", hint="look at the server's log") from exc

    def _plain(self, exc: Exception) -> str:
        text = " ".join(str(exc).split())[:200] or type(exc).__name__
        for secret in self.address.secrets:
            text = text.replace(secret, "[secret]")
        return text

    def _client(self) -> Redis:
        if self._redis is None:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            for name, path in self.address.files:
                if not Path(path).is_file():
                    raise UsageError(f"--state: {name}: there is no file {quoted(path, 200)}", hint="name a PEM file")
            self._redis = Redis.from_url(
                self.address.url,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
        return self._redis
