"""Scaling frames: which service, by how much or to how many, and until when; the sign is never guessed."""

from __future__ import annotations

from datetime import datetime

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning import places
from sophia_cli.reasoning.clauses import Ask, Clause
from sophia_cli.reasoning.entities import Token
from sophia_cli.reasoning.places import Built


def scale(clause: Clause) -> Built:
    found = [(n, name) for n, token in enumerate(clause.tokens) if n != clause.head and (name := clause.service(token))]
    services = list(dict.fromkeys(name for _, name in found))
    if len(services) != 1:
        known = ", ".join(name for name, _ in clause.around.services) or "none"
        return Ask(f"Which service? Known: {known}.")
    clause.use(*(n for n, _ in found))
    end = places.end(clause)
    if isinstance(end, Ask):
        return end
    start: datetime | None = None
    every: str | None = None
    for n, token in clause.free("time"):
        when = token.when
        if when is None or (when.kind == "every" and every) or when.kind in {"duration", "start"}:
            continue
        if when.kind == "every":
            every = when.every
        elif when.kind == "range" and end is None and when.start and when.start > clause.context.now:
            start, end = when.start, when.end
        else:
            continue
        clause.use(n)
    return _size(clause, services[0], (start, end, every))


def _size(clause: Clause, service: str, when: tuple[datetime | None, datetime | None, str | None]) -> Built:
    heads = clause.head_classes | {
        name
        for token in clause.tokens
        for name in clause.words.base.get(token.text, ())
        if token.kind == "word" and name in {"up", "down"}
    }
    numbers = list(clause.free("number"))
    percents = list(clause.free("percent"))
    factor = next(
        (
            size
            for name, size in {"double": ("up", 100), "triple": ("up", 200), "halve": ("down", 50)}.items()
            if name in heads
        ),
        None,
    )
    directions = (
        {"up", "down"} & heads
        | ({"up"} if clause.has("more") else set())
        | ({"down"} if clause.has("less", "fewer") else set())
    )
    adds = clause.head is not None and clause.tokens[clause.head].text == "add"
    # "add web" may be a name for something: only capacity, or a number, that is added makes it larger.
    adds = adds and bool(numbers or percents or any(_is_capacity(clause, token) for token in clause.tokens))
    directions |= {"up"} if adds else set()
    for n, token in enumerate(clause.tokens):
        if token.kind == "word" and token.text in {"up", "down", "more", "less", "fewer"}:
            directions |= {token.text} & {"up", "down"}
            clause.use(n)
    if len(directions) > 1 or len(numbers) + len(percents) + bool(factor) > 1:
        return Ask(f"Scale {service} by how much, or to how many?")
    if factor is not None:
        return (i.ScaleService(service, factor[0], None, factor[1], None, *when),)
    if percents and len(directions) == 1 and percents[0][1].text.isdigit():
        clause.use(percents[0][0])
        return (i.ScaleService(service, directions.pop(), None, int(percents[0][1].text), None, *when),)
    if percents or (numbers and not numbers[0][1].text.isdigit()):
        return Ask(f"Scale {service} up or down, and by how much?")
    if numbers:
        place, number = numbers[0][0], int(numbers[0][1].text)
        clause.use(place)
        preposition = clause.before(place)[1]
        if preposition in {"to", "at"}:
            return (i.ScaleService(service, "to", None, None, number, *when),)
        if len(directions) == 1 and (preposition == "by" or adds or clause.has("more", "less", "fewer")):
            return (i.ScaleService(service, directions.pop(), number, None, None, *when),)
        return Ask(
            f"Scale {service} by {number}, or to {number}?", (i.ScaleService(service, "to", None, None, number, *when),)
        )
    if clause.tokens[-1].text in {"to", "by", "from"} or len(directions) != 1:
        return Ask(f"Scale {service} up or down, and by how much?")
    return (i.ScaleService(service, directions.pop(), None, None, None, *when),)


def _is_capacity(clause: Clause, token: Token) -> bool:
    return "service" in clause.noun_classes(token) and clause.service(token) is None
