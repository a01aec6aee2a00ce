"""An OpenAI-compatible server on loopback that plays a script: what it says, breaks or withholds, and what it was sent."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Play = Callable[["Exchange"], None]


@dataclass
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)  # type: ignore[no-any-return]

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the prompt."""
        return json.loads(self.body["messages"][1]["content"])  # type: ignore[no-any-return]


@dataclass
class Exchange:
    """A request, and the connection to answer it on."""

    got: Got
    handler: BaseHTTPRequestHandler
    number: int

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Connection": "close", **(headers or {})}.items():
            self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(body)))
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def stream(self, *events: str, ends: bool = True) -> None:
        """Server-sent events: these lines as they are; `ends` closes the body as it should be."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()
        for event in events:
            raw = f"{event}\n\n".encode("utf-8", "surrogatepass")
            self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
            self.handler.wfile.flush()
        if ends:
            self.handler.wfile.write(b"0\r\n\r\n")

    def completion(self, content: Any, usage: Any = None, **message: Any) -> None:
        self.send(200, json.dumps(completion(content, usage, **message)).encode())

    def endless(self, chunk: bytes) -> None:
        """A body without an end, until the other side hangs up."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))


def completion(content: Any, usage: Any = None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion (platform.openai.com/docs/api-reference/chat/object)."""
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "hostile",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def piece(text: Any = None, finish: str | None = None, **delta: Any) -> str:
    """One event of a stream (platform.openai.com/docs/api-reference/chat/streaming)."""
    said = {**({} if text is None else {"content": text}), **delta}
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


DONE = "data: [DONE]"


@dataclass
class Hostile:
    """A running server. `play` may be changed between requests."""

    port: int
    play: Play
    requests: list[Got] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def sent(self) -> str:
        """Everything the server was sent, headers and bodies."""
        return "\n".join(f"{got.path} {got.headers} {got.raw.decode('utf-8', 'replace')}" for got in self.requests)


@contextlib.contextmanager
def hostile(play: Play) -> Iterator[Hostile]:
    """A running hostile model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, raw))
            self.close_connection = True
            with contextlib.suppress(OSError):
                state.play(Exchange(state.requests[-1], self, len(state.requests)))

        do_GET = do_POST

        def log_message(self, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Hostile(server.server_address[1], play)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


# -- plays --------------------------------------------------------------------------------------------------------------


def says(answer: Any, **message: Any) -> Play:
    """Always this content: text as it is, anything else as JSON."""
    content = answer if isinstance(answer, str) else json.dumps(answer)
    return lambda exchange: exchange.completion(content, **message)


def reads(intent: str, **slots: str) -> Play:
    """A reading of one intent."""
    listed = [{"slot": slot, "value": value} for slot, value in slots.items()]
    return says({"understood": True, "intents": [{"intent": intent, "slots": listed}]})


def change(action: str, zone: str = "acme.example", **more: Any) -> dict[str, Any]:
    """A change as the schema wants it."""
    empty = dict.fromkeys(("row", "name", "type", "value", "ttl", "priority"))
    return {"action": action, "zone": zone, **empty, **more}


def advises(
    build: Callable[[dict[str, Any]], list[tuple[str, list[dict[str, Any]]]]], text: str = "It matters."
) -> Play:
    """Proposals built from the facts that came, `text` as the explanation of each finding, and as every prose."""

    def play(exchange: Exchange) -> None:
        facts = exchange.got.facts
        if "findings" not in facts:
            return exchange.completion(text)
        proposals = [{"finding": finding, "changes": changes} for finding, changes in build(facts)]
        explained = [
            {"finding": one["finding"], "rank": number, "text": text} for number, one in enumerate(facts["findings"], 1)
        ]
        exchange.completion(json.dumps({"explanations": explained, "proposals": proposals}))

    return play
