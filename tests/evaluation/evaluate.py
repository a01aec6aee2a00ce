"""The evaluation: reads sentences.jsonl with the offline engine and counts; prints, by class, what was right and what was not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sophia_cli.reasoning.engine import read
from sophia_cli.reasoning.intents import Intent
from sophia_cli.reasoning.reading import NotAWrite, OutOfScope, Reading, Surroundings, Unclear, Understood

NOW = datetime(2026, 11, 18, 9, 0, tzinfo=UTC)  # A Wednesday, 10:00 in Berlin.
SENTENCES = Path(__file__).with_name("sentences.jsonl")

_NAMES = "@:A @:MX @:TXT www:CNAME api:A blog:CNAME shop:A docs:CNAME mail:A old-api:A status:CNAME _dmarc:TXT ftp:A ftp:AAAA"
_RECORDS = tuple(("example.com", *entry.split(":")) for entry in _NAMES.split())
_SERVICES = (
    ("webhooks", ("webhook processing", "webhook workers")),
    ("web", ("website", "frontend")),
    ("worker", ("background jobs", "queue workers")),
)
_TWO = (
    ("example.com", "@", "A"),
    ("example.com", "www", "A"),
    ("example.com", "api", "A"),
    ("shop.test", "@", "A"),
    ("shop.test", "api", "A"),
    ("shop.test", "blog", "CNAME"),
)

# Names that are words of the language, and a zone and a name with other letters than ASCII.
_ODD = tuple(
    ("example.com", *entry.split(":")) for entry in ["new:A", "main:A", "test:A", "help:CNAME", "all:A", "last:A"]
)
_IDN = "xn--bcher-kva.example"
_IDN_RECORDS = ((_IDN, "@", "A"), (_IDN, "xn--caf-dma", "A"), (_IDN, "www", "CNAME"))

MAIN = Surroundings(("example.com",), _RECORDS, _SERVICES, ("production", "dev", "qa"), "Europe/Berlin")
SURROUNDINGS: Mapping[str, Surroundings] = {
    "main": MAIN,
    "staged": Surroundings(("example.com",), _RECORDS, _SERVICES, ("production", "staging"), "Europe/Berlin"),
    "two": Surroundings(("example.com", "shop.test"), _TWO, _SERVICES, ("production",), "Europe/Berlin"),
    "odd": Surroundings(("example.com",), _RECORDS + _ODD, _SERVICES, ("production", "dev", "qa"), "Europe/Berlin"),
    "idn": Surroundings((_IDN,), _IDN_RECORDS, (), (), "Europe/Berlin"),
    "empty": Surroundings(),
}
OUTCOMES: Mapping[type, str] = {
    Understood: "understood",
    Unclear: "unclear",
    NotAWrite: "not_a_write",
    OutOfScope: "out_of_scope",
}


@dataclass(slots=True)
class Count:
    """The figures of one class of sentences."""

    sentences: int = 0
    exact: int = 0
    wrong_acts: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    slots_right: int = 0
    slots_read: int = 0
    slots_wanted: int = 0

    @property
    def f1(self) -> float:
        total = self.slots_read + self.slots_wanted
        return 2 * self.slots_right / total if total else 1.0


def sentences() -> list[dict[str, Any]]:
    """The evaluation set."""
    return [json.loads(line) for line in SENTENCES.read_text("utf-8").splitlines()]


def answer(sentence: Mapping[str, Any]) -> Reading:
    """What the engine reads, after the sentence before it where there is one."""
    around = SURROUNDINGS[sentence.get("surroundings", "main")]
    if "previous" in sentence:
        before = read(sentence["previous"], around, NOW)
        previous = before.intents if isinstance(before, Understood) else ()
        around = Surroundings(
            around.zones, around.records, around.services, around.environments, around.time_zone, previous
        )
    return read(sentence["text"], around, NOW)


def told(intent: Intent) -> dict[str, Any]:
    """An intent as the set writes it: only the slots that are filled."""
    return {"name": intent.name, "slots": {slot: value for slot, value in intent.slots().items() if value is not None}}


def tally(some: Iterable[Mapping[str, Any]]) -> dict[str, Count]:
    """The figures by class, and in all."""
    counts: dict[str, Count] = {}
    for sentence in some:
        reading = answer(sentence)
        for name in (sentence["class"], "all"):
            _add(counts.setdefault(name, Count()), sentence, reading)
    return counts


def _add(count: Count, sentence: Mapping[str, Any], reading: Reading) -> None:
    expected = sentence["expect"]
    outcomes = expected["outcome"] if isinstance(expected["outcome"], list) else [expected["outcome"]]
    wanted = expected.get("intents", [])
    got = [told(intent) for intent in reading.intents] if isinstance(reading, Understood) else []
    outcome = OUTCOMES[type(reading)]
    if outcome == "understood" and "read_only" in outcomes and not reading.writes:  # type: ignore[union-attr]
        outcome = "read_only"
    right = outcome in outcomes and (not wanted or got == wanted)
    if "why" in expected and isinstance(reading, NotAWrite):
        right = right and reading.why.value in expected["why"]
    count.sentences += 1
    count.exact += right
    if not right:
        count.misses.append(f"{sentence['text']!r}\n      wanted {wanted or outcomes}\n      got    {reading!r}")
    if isinstance(reading, Understood):
        for intent in reading.intents:
            allowed = "understood" in outcomes and not wanted
            if intent.writes and not allowed and told(intent) not in wanted:
                count.wrong_acts.append(f"{sentence['text']!r} read as {intent!r}")
    if wanted:
        _slots(count, wanted, got)


def _slots(count: Count, wanted: list[dict[str, Any]], got: list[dict[str, Any]]) -> None:
    def pairs(intents: list[dict[str, Any]]) -> set[str]:
        return {
            json.dumps([n, one["name"], slot, value])
            for n, one in enumerate(intents)
            for slot, value in one["slots"].items()
        }

    count.slots_wanted += len(pairs(wanted))
    count.slots_read += len(pairs(got))
    count.slots_right += len(pairs(wanted) & pairs(got))


def table(title: str, counts: Mapping[str, Count]) -> str:
    """The figures as text."""
    lines = [title, f"  {'class':14}{'sentences':>10}{'exact':>8}{'rate':>8}{'slot F1':>9}{'wrong acts':>12}"]
    for name, count in sorted(counts.items(), key=lambda entry: (entry[0] == "all", entry[0])):
        rate = 100 * count.exact / count.sentences
        acts = len(count.wrong_acts)
        lines.append(f"  {name:14}{count.sentences:>10}{count.exact:>8}{rate:>7.1f}%{count.f1:>9.3f}{acts:>12}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print both parts; `--misses` also shows what was missed in the tuned part, which is the only part to look into."""
    every = sentences()
    tuned = tally(sentence for sentence in every if not sentence["held_out"])
    print(table("tuned", tuned))
    if "--misses" in arguments:
        print("\n".join(f"    {miss}" for miss in tuned["all"].misses + tuned["all"].wrong_acts))
        return 0
    held_out = tally(sentence for sentence in every if sentence["held_out"])
    print(table("held out", held_out))
    return 1 if tuned["all"].wrong_acts or held_out["all"].wrong_acts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
