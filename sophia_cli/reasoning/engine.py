"""The offline engine: a sentence to typed intents, by entities, weights and frames. Pure: no network, no clock, no model.

A write is read only from a clause that begins with a verb in its plain form (or has one of two other plain shapes), all of
whose words and entities found a place; whatever negates, quotes, doubts or conditions it makes the sentence no write at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_cli.reasoning import follow
from sophia_cli.reasoning.clauses import Ask, Clause, Context, Refuse, is_question, mood, split
from sophia_cli.reasoning.entities import WORDS_AT_MOST, Token, cut, understand
from sophia_cli.reasoning.frames import FRAMES
from sophia_cli.reasoning.guards import forbidden, normalised, quoted, unreadable
from sophia_cli.reasoning.intents import (
    Analyze,
    CreateRecord,
    ExplainFinding,
    Intent,
    OptimizeInfrastructure,
    RemoveRecord,
    SetRecord,
)
from sophia_cli.reasoning.leftovers import left_over, opens_with
from sophia_cli.reasoning.moments import Facing
from sophia_cli.reasoning.reading import NotAWrite, OutOfScope, Reading, Surroundings, Unclear, Understood, Why
from sophia_cli.reasoning.scores import ACTS, WRITES, weighed
from sophia_cli.reasoning.slots import InvalidSlot
from sophia_cli.reasoning.vocabulary import Vocabulary, vocabulary

THRESHOLD: Final = 2.0


_MARGIN: Final = 0.35


def read(text: str, surroundings: Surroundings, now: datetime) -> Reading:
    """What a text means. Never raises; the same text, surroundings and time give the same reading."""
    words = vocabulary("en")
    plain = normalised(text)
    if (refusal := unreadable(plain)) is not None:
        return refusal
    context = Context(words, surroundings, now)
    tokens = cut(plain, surroundings, words)
    if len(tokens) > WORDS_AT_MOST:
        return Unclear("That is too long for one sentence. Please ask for one thing at a time.")
    facing: Facing = "past" if _looks_back(tokens, words) else "future"
    tokens = understand(tokens, surroundings, words, now, facing)
    if (followed := follow.read(tokens, surroundings, now)) is not None:
        return _understood(followed, tokens, 0.9)
    doubt = quoted(plain, tokens, words) or mood(tokens, words)
    if doubt is not None:
        return _doubtful(doubt, tokens, context)
    if (refusal := forbidden(tokens, words)) is not None:
        return refusal
    return _read_clauses(tokens, context)


def _looks_back(tokens: Sequence[Token], words: Vocabulary) -> bool:
    return any(token.text in words.past or token.text in {"changes", "chnaged", "since", "did"} for token in tokens)


def _doubtful(why: Why, tokens: Sequence[Token], context: Context) -> Reading:
    """A sentence with a reason not to act: told as no write when it speaks of one, answered when it only asks."""
    words = context.words
    speaks = any(
        token.kind == "word"
        and (
            words.base.get(token.text, frozenset())
            | words.past.get(token.text, frozenset())
            | words.ing.get(token.text, frozenset())
        )
        & ACTS
        for token in tokens
    )
    quotes = [token for token in tokens if token.kind == "quoted"]
    if not speaks and not quotes and why is not Why.quoted:
        reading = _read_clauses(tokens, context)
        if isinstance(reading, Understood) and not reading.writes:
            return replace(reading, confidence=round(reading.confidence * 0.8, 2))
        return Unclear("I am not sure what you ask for. Please say it plainly.")
    asked = _as_question(tokens, context) if why is Why.negated or why is Why.hypothetical else None
    if asked is not None and not any(token.text in {"not", "never"} for token in tokens):
        return asked
    left = [token for token in tokens if token.text not in words.moods and token.kind not in {"quoted", "junk"}]
    if quotes and why is Why.quoted:
        left = list(
            understand(
                cut(quotes[0].text, context.surroundings, words), context.surroundings, words, context.now, "future"
            )
        )
    heard = _read_clauses(left, context)
    intents = heard.intents if isinstance(heard, Understood) and heard.writes else ()
    return NotAWrite(why, intents, 0.9 if intents else 0.7)


def _as_question(tokens: Sequence[Token], context: Context) -> Reading | None:
    if not is_question(tokens):
        return None
    reading = _read_clauses(tokens, context)
    return reading if isinstance(reading, Understood) and not reading.writes and reading.confidence > 0.7 else None


def _read_clauses(tokens: Sequence[Token], context: Context) -> Reading:
    parts = split(tokens, context.words)
    asked = any(token.kind == "question" for token in tokens)
    polite = any(token.text == "<polite>" for token in tokens)
    if _is_single_noun(tokens, context.words):
        return Unclear("That is one word. What about it?")
    intents: list[Intent] = []
    confidence = 1.0
    because: str | None = None
    asks = False
    acts = any(Clause(part, context).head_classes & ACTS for part in parts)
    last_name: tuple[str, str] | None = _last_name(context.surroundings.previous)
    for part in parts:
        if _is_statement(part, context.words) and len(parts) > 1:
            if any(token.kind not in {"word", "comma"} for token in part):
                return Unclear("One part of the sentence asks for nothing that I know. Please say it plainly.")
            said = [
                token.raw
                for token in part
                if token.kind == "word" and token.text not in {"sophia", "our", "the", "hey"}
            ]
            because = " ".join(said)
            continue
        question = is_question(part)
        reading = _read_clause(Clause(part, context, last_name, acts), question, asked and not polite)
        if not isinstance(reading, Understood):
            return reading
        if asks and reading.writes:
            return Unclear("One part asks and another writes. Which one shall I do?", (*intents, *reading.intents)[:3])
        asks = asks or question or any(isinstance(intent, ExplainFinding) for intent in reading.intents)
        intents += reading.intents
        confidence = min(confidence, reading.confidence)
        last_name = _last_name(intents) or last_name
    if because is not None:
        if len(intents) != 1 or not isinstance(intents[0], OptimizeInfrastructure):
            return _unsaid(because, intents)
        intents = [OptimizeInfrastructure(because)]
    if not intents:
        return Unclear("I did not find anything to do in that. Try: sophia ask help", ())
    return _understood(tuple(_without_repeats(intents)), tokens, confidence)


def _is_single_noun(tokens: Sequence[Token], words: Vocabulary) -> bool:
    said = [token for token in tokens if token.text not in words.glue - {"ok"} and token.kind != "stop"]
    return (
        len(tokens) == 1
        and len(said) == 1
        and said[0].kind == "word"
        and said[0].text not in words.base
        and not said[0].text.startswith("<")
    )


def _without_repeats(intents: Sequence[Intent]) -> list[Intent]:
    """A bare "analyze" beside one that says what is dropped: it is the same wish, said twice."""
    said = [intent for intent in intents if isinstance(intent, Analyze) and intent != Analyze()]
    return [intent for intent in intents if not (said and intent == Analyze())]


def _unsaid(because: str, intents: Sequence[Intent]) -> Reading:
    if not intents or any(intent.writes for intent in intents):
        return Unclear(f'I do not know what to make of "{because}".', tuple(intents[:3]))
    return Understood(tuple(intents), 0.7)


def _is_statement(part: Sequence[Token], words: Vocabulary) -> bool:
    """ "our traffic is increasing": it says something is so, and asks for nothing."""
    texts = [token.text for token in part if token.kind == "word" and token.text != "sophia"]
    if not texts or is_question(part):
        return False
    known = all(
        text in words.glue
        or text in words.ing
        or text in words.past
        or words.nouns.get(text, frozenset()) & {"traffic", "more"}
        for text in texts
    )
    return known and any("traffic" in words.nouns.get(text, ()) for text in texts)


def _last_name(intents: Sequence[Intent]) -> tuple[str, str] | None:
    for intent in reversed(intents):
        if isinstance(intent, CreateRecord | SetRecord | RemoveRecord):
            return intent.domain, intent.record
    return None


def _understood(intents: tuple[Intent, ...], tokens: Sequence[Token], confidence: float) -> Understood:
    repaired = tuple(
        dict.fromkeys((token.raw, token.text) for token in tokens if token.repaired and len(token.raw) < 30)
    )
    return Understood(intents, round(max(0.1, confidence - 0.1 * len(repaired)), 2), repaired)


def _read_clause(clause: Clause, question: bool, marked: bool) -> Reading:
    """One clause: the intents that fit, best first; the best when it stands out and can be built, else a question."""
    scores = weighed(clause)
    if not scores or scores[0][1] < THRESHOLD:
        return _nothing(clause)
    best = scores[0][1]
    near = [name for name, score in scores if score >= best - _MARGIN][:4]
    if (question or marked) and near[0] in WRITES:
        reads = [name for name, score in scores if name not in WRITES and score >= THRESHOLD]
        if not reads or not question:
            built = _build(near[0], clause)
            return NotAWrite(Why.question, built.intents if isinstance(built, Understood) else ())
        near = reads[:1]
    attempts = [
        (name, _build(name, Clause(clause.tokens, clause.context, clause.last_name, clause.strict))) for name in near
    ]
    done = [(name, reading) for name, reading in attempts if isinstance(reading, Understood)]
    if len(done) == 1 and done[0][0] == near[0]:
        second = next((score for name, score in scores if name not in near), 0.0)
        confidence = min(1.0, 0.5 + (best - second) / best) * done[0][1].confidence
        return replace(done[0][1], confidence=round(confidence, 2))
    if len(done) > 1:
        readings = tuple(reading.intents[0] for _, reading in done)[:3]
        return Unclear("I can read that in more than one way. Which one is it?", readings, 0.4)
    refused = next((reading for _, reading in attempts if isinstance(reading, OutOfScope)), None)
    first = attempts[0][1]
    if done and isinstance(first, Unclear):
        return replace(first, readings=(*first.readings, done[0][1].intents[0])[:3])
    return refused or first


def _nothing(clause: Clause) -> Reading:
    """No intent reached the threshold: a domain that is not ours is named as the reason, else it is asked what is meant."""
    foreign = [token.text for _, token in clause.free("host") if clause.around.zone_of(token.text) is None]
    if foreign:
        return OutOfScope(f"{foreign[0]} is not in a domain that is looked after here.")
    return Unclear("I do not know what to make of that. Try: sophia ask help")


def _build(name: str, clause: Clause) -> Reading:
    """The frame of an intent filled from the clause, and every word and entity accounted for."""
    try:
        built = FRAMES[name](clause)
    except InvalidSlot as exc:
        return Unclear(f"{exc.message[:1].upper()}{exc.message[1:]}." + (f" Hint: {exc.hint}." if exc.hint else ""))
    if isinstance(built, Ask):
        return Unclear(built.question, built.readings[:3], 0.3)
    if isinstance(built, Refuse):
        return OutOfScope(built.why)
    left = left_over(name, clause)
    allowed = 0 if name in WRITES or clause.strict else 1
    entities = [token for token in left if token.kind != "word"]
    other = any(
        token.text in clause.words.nouns for token in left
    )  # It speaks of something that this intent is not about.
    if entities or other or len(left) > allowed or (left and opens_with(left[0], clause)):
        shown = ", ".join(f'"{token.raw}"' for token in left[:3])
        return Unclear(f"I do not know what {shown} means here. Did you mean this without it?", built[:3], 0.3)
    return Understood(built, 0.85 if left else 1.0)
