"""Pulumi Cloud: the ESC REST API over HTTP. Sends the token nowhere but to its backend, and puts it in no message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from sophia_cli.core.errors import (
    BadResponse,
    CredentialsRejected,
    InvalidEnvironment,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    RateLimited,
    StalePlan,
    Unreachable,
    UsageError,
)
from sophia_cli.core.settings import Origin
from sophia_cli.esc.diagnostics import Diagnostic
from sophia_cli.esc.document import Number, join_key
from sophia_cli.esc.environment import Environment, Node, invalid
from sophia_cli.esc.load import unresolved
from sophia_cli.esc.overrides import Override
from sophia_cli.esc.sections import is_loopback, url_problem

if TYPE_CHECKING:
    import httpx

DEFAULT_BACKEND = "https://api.pulumi.com"
TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token and the backend it belongs to."""

    token: SecretStr
    backend: str = DEFAULT_BACKEND


@dataclass(frozen=True, slots=True)
class Address:
    """`ORG/PROJECT/ENV[@VERSION]`."""

    organization: str
    project: str
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.organization}/{self.project}/{self.name}" + (f"@{self.version}" if self.version else "")


@dataclass(frozen=True, slots=True)
class Stored:
    """A definition in the cloud with the tag that an update must send back."""

    text: str
    etag: str


def address(text: str) -> Address | None:
    """The address a text names, or None when it has another form (a file, say)."""
    bare, at, version = text.partition("@")
    parts = bare.split("/")
    if len(parts) != 3 or not all(_NAME.match(part) and part not in (".", "..") for part in parts):
        return None
    if at and not _NAME.match(version):
        return None
    organization, project, name = parts
    return Address(organization, project, name, version or None)


def credentials(variables: Mapping[str, str], home: Path | None) -> Credentials | None:
    """`PULUMI_ACCESS_TOKEN`, else the token of the CLI's `credentials.json`; the backend from `PULUMI_BACKEND_URL`,
    else the CLI's current account. None when there is no token. `home` is the user's home folder.
    """
    backend = variables.get("PULUMI_BACKEND_URL") or variables.get("PULUMI_API") or ""
    token = variables.get("PULUMI_ACCESS_TOKEN", "")
    folder = Path(variables["PULUMI_HOME"]) if variables.get("PULUMI_HOME") else home / ".pulumi" if home else None
    if variables.get("PULUMI_CREDENTIALS_PATH"):
        folder = Path(variables["PULUMI_CREDENTIALS_PATH"])
    stored = _stored_credentials(folder / "credentials.json") if folder and not token else {}
    backend = backend or str(stored.get("current") or DEFAULT_BACKEND)
    if not token:
        accounts, tokens = stored.get("accounts"), stored.get("accessTokens")
        account = accounts.get(backend) if isinstance(accounts, dict) else None
        found = account.get("accessToken") if isinstance(account, dict) else None
        token = str(found or (tokens.get(backend, "") if isinstance(tokens, dict) else ""))
    if not token or not backend.startswith(("https://", "http://")):  # file:// and bucket logins have no ESC
        return None
    return Credentials(SecretStr(token), backend.rstrip("/"))


def _stored_credentials(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


class Cloud:
    """A client of one account. Use as an async context manager; it holds one connection pool."""

    def __init__(self, account: Credentials, *, timeout_s: float = TIMEOUT_S) -> None:
        reason = url_problem(account.backend)
        if reason:
            raise UsageError(f"{_host(account.backend)}: the Pulumi backend {reason}", hint="see PULUMI_BACKEND_URL")
        self._account = account
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Cloud:
        import httpx

        self._client = httpx.AsyncClient(
            base_url=self._account.backend,
            headers={
                "Authorization": f"token {self._account.token.get_secret_value()}",
                "Accept": "application/vnd.pulumi+8",
                "Content-Type": "application/json",
                "User-Agent": "sophia-cli",
            },
            timeout=self._timeout_s,
            follow_redirects=False,
            trust_env=not _is_loopback_url(self._account.backend),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # -- reading ---------------------------------------------------------------------------------------------------------

    async def open(self, where: Address, *, duration: str = "2h0m0s") -> Environment:
        """The environment, opened: secrets decrypted and providers asked. Raises InvalidEnvironment with its diagnostics."""
        answer = await self._json("POST", f"{_path(where)}/open", what=str(where), params={"duration": duration})
        session = _identifier(answer, str(where))
        data = await self._json("GET", f"{_path(where, versioned=False)}/open/{session}", what=str(where))
        return environment(data, str(where))

    async def check(self, organization: str, text: str, *, name: str = "<yaml>") -> Environment:
        """The given definition, checked by the service: nothing is opened, secrets are unknown."""
        path = f"/api/esc/environments/{_segment(organization)}/yaml/check"
        return environment(await self._json("POST", path, what=name, params={"showSecrets": "false"}, body=text), name)

    async def open_text(
        self, organization: str, text: str, *, name: str = "<yaml>", duration: str = "2h0m0s"
    ) -> Environment:
        """The given definition, opened by the service without being stored."""
        base = f"/api/esc/environments/{_segment(organization)}/yaml/open"
        answer = await self._json("POST", base, what=name, params={"duration": duration}, body=text)
        return environment(await self._json("GET", f"{base}/{_identifier(answer, name)}", what=name), name)

    async def definition(self, where: Address, *, decrypt: bool = False) -> Stored:
        """The stored YAML with its ETag; decrypted when asked."""
        path = f"{_path(where)}/decrypt" if decrypt else _path(where)
        response = await self._send("GET", path, what=str(where))
        return Stored(_text(response, str(where)), response.headers.get("ETag", ""))

    # -- writing ---------------------------------------------------------------------------------------------------------

    async def update(self, where: Address, text: str, etag: str) -> tuple[Diagnostic, ...]:
        """Stores a new definition, if the stored one still has this ETag; gives the service's warnings.

        Raises StalePlan when it has changed, InvalidEnvironment when the service does not accept the text,
        OutcomeUnknown when the answer was lost.
        """
        response = await self._send(
            "PATCH", _path(where, versioned=False), what=str(where), body=text, headers={"ETag": etag}, writes=True
        )
        found = _decoded(response, str(where)) if response.content.strip() else {}
        listed = found.get("diagnostics") if isinstance(found, dict) else None
        return tuple(_diagnostics(listed, str(where), "warning"))

    # -- the wire --------------------------------------------------------------------------------------------------------

    async def _json(self, method: str, path: str, *, what: str, params: Any = None, body: str | None = None) -> Any:
        return _decoded(await self._send(method, path, what=what, params=params, body=body), what)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        params: Mapping[str, str] | None = None,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool = False,
    ) -> httpx.Response:
        import httpx

        if self._client is None:
            raise RuntimeError("use the client inside `async with`")
        content = body.encode() if body is not None else None
        try:
            response = await self._client.request(method, path, params=params, content=content, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise Unreachable(
                f"{self._host}: Pulumi Cloud cannot be reached ({type(exc).__name__})",
                hint="check the network and PULUMI_BACKEND_URL",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            message = f"{self._host}: no answer for {what} ({type(exc).__name__})"
            if writes:
                raise OutcomeUnknown(message, hint="read the environment again before changing it") from None
            raise Unreachable(message, hint="try again") from None
        _raise_for(response, self._host, what, writes)
        return response

    @property
    def _host(self) -> str:
        return _host(self._account.backend)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the backend"
    except ValueError:
        return "the backend"


def _is_loopback_url(url: str) -> bool:
    return is_loopback(_host(url))


def _segment(text: str) -> str:
    if not _NAME.match(text) or text in (".", ".."):
        raise UsageError(f"{text!r} is not the name of an organization, project or environment")
    return quote(text, safe="")


def _path(where: Address, *, versioned: bool = True) -> str:
    parts = "/".join(_segment(part) for part in (where.organization, where.project, where.name))
    version = f"/versions/{_segment(where.version)}" if where.version and versioned else ""
    return f"/api/esc/environments/{parts}{version}"


def _raise_for(response: httpx.Response, host: str, what: str, writes: bool) -> None:
    status = response.status_code
    if status in (200, 201, 204):
        return
    if status == 400:
        found = _refused(response)
        if found:
            raise invalid(what, tuple(found), hint="correct the definition in Pulumi Cloud")
    if status in (401, 403):
        raise CredentialsRejected(
            f"{host}: the Pulumi access token is not accepted for {what} (HTTP {status})",
            hint="run: pulumi login, or set PULUMI_ACCESS_TOKEN",
        )
    if status == 404:
        raise InvalidEnvironment(
            f"{what}: there is no such environment at {host}, or this token may not see it",
            hint="list them with: pulumi env ls",
            details={"diagnostics": []},
        )
    if status in (409, 412):
        raise StalePlan(f"{what}: the definition has changed since it was read", hint="read it again")
    if status == 429:
        raise RateLimited(f"{host}: too many calls", hint="try again in a minute")
    if 300 <= status < 400:
        raise BadResponse(f"{host}: answered with a redirect (HTTP {status}), which is never followed")
    if status >= 500:
        message = f"{host}: failed with HTTP {status} for {what}"
        raise OutcomeUnknown(message, hint="read the environment again") if writes else ProviderBusy(message)
    raise ProviderRefused(f"{host}: refused {what} with HTTP {status}", details={"number": status})


def _refused(response: httpx.Response) -> list[Diagnostic]:
    try:
        data = json.loads(response.content, parse_int=Number)
    except ValueError:
        return []
    return list(_diagnostics(data.get("diagnostics"), "<yaml>", "error")) if isinstance(data, dict) else []


def _diagnostics(data: Any, file: str, default: Literal["error", "warning"]) -> Iterable[Diagnostic]:
    for one in data if isinstance(data, list) else ():
        if not isinstance(one, dict):
            continue
        place = one.get("range") if isinstance(one.get("range"), dict) else {}
        severity = str(one.get("severity") or default)
        yield Diagnostic(
            "warning" if severity == "warning" else "error",
            str(one.get("summary") or "refused"),
            str(one.get("path") or ""),
            _origin(place, file),
        )


def _text(response: httpx.Response, what: str) -> str:
    if len(response.content) > MAX_ANSWER_BYTES:
        raise BadResponse(f"{what}: the answer is larger than {MAX_ANSWER_BYTES // 1024 // 1024} MiB")
    try:
        return response.content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadResponse(f"{what}: the answer is not UTF-8 text") from exc


def _decoded(response: httpx.Response, what: str) -> Any:
    try:
        # Digits are kept: a number may be longer than a float.
        return json.loads(_text(response, what), parse_int=Number, parse_float=Number)
    except (ValueError, RecursionError) as exc:
        raise BadResponse(f"{what}: the answer is not JSON") from exc


def _identifier(answer: Any, what: str) -> str:
    found = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", found) or found in (".", ".."):
        raise BadResponse(f"{what}: the answer names no session")
    return found


def environment(data: Any, name: str) -> Environment:
    """The environment of the service's JSON: `{properties: {KEY: {value, secret?, unknown?, trace}}}`.

    The raw form is read here because Pulumi's SDK drops the secret flags (its `values` collapses objects). Raises BadResponse.
    """
    if not isinstance(data, dict) or not isinstance(data.get("properties", {}), dict):
        raise BadResponse(f"{name}: the answer holds no environment")
    fields = {key: _node(item, key, name) for key, item in sorted(data.get("properties", {}).items())}
    found = tuple(_diagnostics(data.get("diagnostics"), name, "warning"))
    short = name.partition("@")[0].rpartition("/")[2]
    return Environment(short, Node(fields, "", Origin(name, 1, 1)), found, None, (), short, local=False)


def _node(data: Any, path: str, name: str, depth: int = 0) -> Node:
    if not isinstance(data, dict) or depth > 64:
        raise BadResponse(f"{name}: {path} is not a value as the service describes it")
    trace = data.get("trace")
    trace = trace if isinstance(trace, dict) else {}
    value = data.get("value")
    content: Any = value
    if isinstance(value, dict):
        content = {key: _node(item, join_key(path, key), name, depth + 1) for key, item in sorted(value.items())}
    elif isinstance(value, list):
        content = tuple(_node(item, f"{path}[{index}]", name, depth + 1) for index, item in enumerate(value))
    base = trace.get("base")
    return Node(
        content,
        path,
        _origin(trace.get("def"), name),
        secret=data.get("secret") is True,
        unknown=data.get("unknown") is True,
        below=_node(base, path, name, depth + 1) if isinstance(base, dict) else None,
    )


def _origin(place: Any, file: str) -> Origin:
    """The origin of the service's range: `{environment, begin: {line, column}}`."""
    place = place if isinstance(place, dict) else {}
    begin = place.get("begin") if isinstance(place.get("begin"), dict) else {}

    def number(key: str) -> int:
        found = begin.get(key)
        return int(found.text) if isinstance(found, Number) and found.text.isdecimal() else 1

    return Origin(str(place.get("environment") or file), number("line"), number("column"))


async def imported(
    source: Path | str,
    client: Cloud,
    organization: str,
    *,
    search_path: Sequence[Path] = (),
    decrypt: bool = False,
) -> dict[str, str]:
    """The definitions that a local file imports and that are not on disk, by name: what `load(cloud=...)` takes.

    A name without a project is looked up in the project `default`, as the service does. A name the service does not
    have is left out, so that evaluation reports it at its place.
    """
    found: dict[str, str] = {}
    tried: set[str] = set()
    while missing := [name for name in unresolved(source, search_path=search_path, cloud=found) if name not in tried]:
        for name in missing:
            tried.add(name)
            bare, at, version = name.partition("@")
            whole = bare if "/" in bare else f"default/{bare}"
            where = address(f"{organization}/{whole}{at}{version}")
            if where is None:
                continue
            try:
                found[name] = (await client.definition(where, decrypt=decrypt and not where.version)).text
            except InvalidEnvironment:
                continue
    return found


def overlaid(where: Address, overrides: Sequence[Override]) -> str:
    """A definition that imports an environment and lays `--set` values over it: what `open_text` takes."""
    tree: dict[str, Any] = {}
    for one in overrides:
        node = tree
        for step in one.steps[:-1]:
            if isinstance(step, int) or not isinstance(node.setdefault(step, {}), dict):
                raise UsageError(f"--set {one.path}: elements of lists cannot be set in a cloud environment")
            node = node[step]
        if isinstance(one.steps[-1], int):
            raise UsageError(f"--set {one.path}: elements of lists cannot be set in a cloud environment")
        content = one.value.value
        node[one.steps[-1]] = content.plain if isinstance(content, Number) else content
    version = f"@{where.version}" if where.version else ""
    return json.dumps({"imports": [f"{where.project}/{where.name}{version}"], "values": tree}, indent=2) + "\n"
