"""The words of a language, read once from its JSON file; data only, so that a language is a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Signature:
    """What speaks for an intent: weights by class, the groups of which one must be there, and the words it tolerates."""

    verbs: Mapping[str, float]
    nouns: Mapping[str, float]
    entities: Mapping[str, float]
    core: tuple[tuple[str, ...], ...]
    allow: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Vocabulary:
    """A language's closed word lists, turned so that a word finds its classes."""

    base: Mapping[str, frozenset[str]]
    past: Mapping[str, frozenset[str]]
    ing: Mapping[str, frozenset[str]]
    nouns: Mapping[str, frozenset[str]]
    moods: Mapping[str, frozenset[str]]
    types: Mapping[str, str]
    phrases: Mapping[tuple[str, ...], str]
    glue: frozenset[str]
    gate: frozenset[str]
    stages: Mapping[str, str]
    authorities: Mapping[str, str]
    mail_modes: Mapping[str, str]
    secrets: Mapping[str, str]
    agents: Mapping[str, str]
    goals: Mapping[str, str]
    sections: frozenset[str]
    intents: Mapping[str, Signature]
    ordinary: frozenset[str]  # Common words that are near one of ours and are never taken for it.
    features: frozenset[str]  # What a purpose may be called without giving a name to it.
    repairable: Mapping[str, tuple[str, ...]]

    def knows(self, word: str) -> bool:
        """Whether a word belongs to the language of commands, so that it is not likely to be a name."""
        lists = (self.base, self.past, self.ing, self.nouns, self.moods, self.types, self.stages, self.authorities)
        return word in self.glue or any(word in words for words in lists) or word in self.mail_modes


@cache
def vocabulary(language: str = "en") -> Vocabulary:
    """The vocabulary of a language that is shipped with sophia."""
    text = resources.files(__package__).joinpath(f"{language}.json").read_text("utf-8")
    data: dict[str, Any] = json.loads(text)
    verbs: dict[str, dict[str, list[str]]] = data["verbs"]
    forms = {form: _turn({name: words[form] for name, words in verbs.items()}) for form in ("base", "past", "ing")}
    nouns, moods = _turn(data["nouns"]), _turn(data["moods"])
    # The words of time stand here only to be repaired; the grammar of times is code.
    known = {*data["times"], *nouns, *data["glue"], *data["types"], *data["authorities"], *moods}
    for form in forms.values():
        known.update(form)
    known.update(word for phrase in data["phrases"] for word in phrase.split())
    return Vocabulary(
        **forms,
        nouns=nouns,
        moods=moods,
        types=data["types"],
        phrases={tuple(phrase.split()): word for phrase, word in data["phrases"].items()},
        glue=frozenset(data["glue"]),
        gate=frozenset(data["gate"]),
        stages=data["stages"],
        authorities=data["authorities"],
        mail_modes=data["mail_modes"],
        secrets=data["secrets"],
        agents=data["agents"],
        goals=data["goals"],
        sections=frozenset(data["sections"]),
        ordinary=frozenset(data["ordinary"]),
        features=frozenset(data["features"]),
        intents={name: _signature(weights) for name, weights in data["intents"].items()},
        # A stage may be the name of an environment, and names are never repaired.
        repairable=_by_initial(word for word in known if word.isalpha() and word not in data["stages"]),
    )


def _turn(classes: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    turned: dict[str, set[str]] = {}
    for name, words in classes.items():
        for word in words:
            turned.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in turned.items()}


def _signature(weights: Mapping[str, Any]) -> Signature:
    core = tuple(tuple(group) for group in weights["core"])
    return Signature(weights["verbs"], weights["nouns"], weights["entities"], core, frozenset(weights["allow"]))


def _by_initial(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = {}
    for word in sorted(words):
        grouped.setdefault(word[0], []).append(word)
    return {initial: tuple(group) for initial, group in grouped.items()}
