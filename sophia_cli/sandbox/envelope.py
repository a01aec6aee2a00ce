"""The XML of the API as Namecheap writes it: CRLF, two spaces, ` />`, CDATA. Reads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

NAMESPACE = "http://api.namecheap.com/xml.response"
# Characters that XML 1.0 cannot carry, in any form (XML 1.0, 2.2).
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


@dataclass(frozen=True, slots=True)
class Node:
    """An element: attributes and either children or text."""

    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Node, ...] = ()
    text: str = ""
    cdata: bool = False


def envelope(
    *,
    command: str = "",
    type_: str | None = None,
    errors: tuple[tuple[int, str], ...] = (),
    result: tuple[Node, ...] = (),
    execution: str = "0",
) -> bytes:
    """A whole answer. Without `type_` there is no CommandResponse, as with authentication errors (recorded)."""
    children = [
        Node("Errors", children=tuple(Node("Error", {"Number": str(number)}, text=text) for number, text in errors)),
        Node("Warnings"),
        Node("RequestedCommand", text=command),
    ]
    if type_ is not None:
        children.append(Node("CommandResponse", {"Type": type_}, result))
    children += [
        Node("Server", text="SOPHIA-SANDBOX"),
        Node("GMTTimeDifference", text="--4:00"),
        Node("ExecutionTime", text=execution),
    ]
    root = Node("ApiResponse", {"Status": "ERROR" if errors else "OK", "xmlns": NAMESPACE}, tuple(children))
    lines = ['<?xml version="1.0" encoding="utf-8"?>', *_lines(root, 0)]
    return NOT_XML.sub("?", "\r\n".join(lines)).encode()


def _lines(node: Node, depth: int) -> Iterator[str]:
    pad = "  " * depth
    start = node.tag + "".join(f' {name}="{escape(value, _ATTRIBUTE)}"' for name, value in node.attributes.items())
    if node.children:
        yield f"{pad}<{start}>"
        for child in node.children:
            yield from _lines(child, depth + 1)
        yield f"{pad}</{node.tag}>"
    elif node.text:
        text = f"<![CDATA[{node.text.replace(']]>', ']]]]><![CDATA[>')}]]>" if node.cdata else escape(node.text)
        yield f"{pad}<{start}>{text}</{node.tag}>"
    else:
        yield f"{pad}<{start} />"
