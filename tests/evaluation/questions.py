"""Questions on fixed facts: each with facts the answer must hold, claims it must not make, and ids it must cite."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.harness import Shop, shop

QUESTIONS = Path(__file__).with_name("questions.jsonl")
RECORDS = ("{type: A, value: 203.0.113.10, name: api}", "{type: A, value: 203.0.113.30, name: blog}")


@dataclass(slots=True)
class Score:
    """The figures of one class: right is every fact, every citation, no forbidden claim, and the outcome that was due."""

    questions: int = 0
    right: int = 0
    wrong_claims: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def questions() -> list[dict[str, Any]]:
    """The set."""
    return [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]


def facts(folder: Path) -> Any:
    """The fixed facts: the zone of the harness, an environment of two records, and one deploy that made `blog`."""
    return shop(folder)


def prepared(there: Shop) -> str:
    """Write the environment and deploy it; the id of the run."""
    there.environment(*RECORDS)
    ran = there.run("deploy", "--yes", "-o", "json")
    return str(ran.data["run"])


def asked(there: Shop, run: str, some: Iterable[Mapping[str, Any]]) -> dict[str, Score]:
    """Ask each question offline, and hold the reply against what the set wants."""
    scores: dict[str, Score] = {}
    for one in some:
        ran = there.run("ask", one["text"], "-o", "json", "--no-ai")
        reply = ran.data
        said = " ".join([reply["answer"] or "", reply["refused"] or "", reply["reading"]])
        claims = [claim for claim in one["forbidden"] if claim.lower() in (reply["answer"] or "").lower()]
        if reply["runs"]:
            claims.append("it wrote")
        outcome = "plan" if reply["plan"] is not None else "answer" if reply["answer"] else "none"
        cites = [run if id == "RUN" else id for id in one["cites"]]
        held = all(fact.lower() in said.lower() for fact in one["facts"])
        right = held and set(cites) <= set(reply["evidence"]) and one["outcome"] in ("any", outcome) and not claims
        for name in (one["class"], "all"):
            score = scores.setdefault(name, Score())
            score.questions += 1
            score.right += right
            score.wrong_claims += [f"{one['text']!r}: {claim}" for claim in claims]
            if not right:
                score.missed.append(f"{one['text']!r}: {outcome}: {said[:120]!r} cites {reply['evidence'][:3]}")
    return scores


def table(scores: Mapping[str, Score]) -> str:
    """The figures as text."""
    lines = ["questions", f"  {'class':14}{'questions':>10}{'right':>8}{'rate':>8}{'wrong claims':>14}"]
    for name, score in sorted(scores.items(), key=lambda entry: (entry[0] == "all", entry[0])):
        rate = 100 * score.right / score.questions
        lines.append(f"  {name:14}{score.questions:>10}{score.right:>8}{rate:>7.1f}%{len(score.wrong_claims):>14}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the figures; `--misses` also what was missed. Exits 1 for a wrong claim."""
    with tempfile.TemporaryDirectory() as folder, facts(Path(folder)) as there:
        scores = asked(there, prepared(there), questions())
    print(table(scores))
    if "--misses" in arguments:
        print("\n".join(f"    {miss}" for miss in scores["all"].missed + scores["all"].wrong_claims))
    return 1 if scores["all"].wrong_claims else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
