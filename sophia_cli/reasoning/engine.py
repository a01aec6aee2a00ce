"""The offline engine: a sentence to typed intents, by entities, weights and frames. Pure: no network, no clock, no model.

A write is read only from a clause that begins with a verb in its plain form (or has one of two other plain shapes), all of
whose words and entities found a place; whatever negates, quotes, doubts or conditions it makes the sentence no write at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sophia_cli.reasoning import follow
from sophia_cli.reasoning.clauses import Ask, Clause, Context, Refuse, is_question, mood, split
from sophia_cli.reasoning.entities import WORDS_AT_MOST, Token, cut, understand
from sophia_cli.reasoning.frames import FRAMES
from sophia_cli.reasoning.intents import (
    ALL,
    Analyze,
    CreateRecord,
    ExplainFinding,
    Intent,
    OptimizeInfrastructure,
    RemoveRecord,
    SetRecord,
)
from sophia_cli.reasoning.reading import NotAWrite, OutOfScope, Reading, Surroundings, Unclear, Understood, Why
from sophia_cli.reasoning.slots import InvalidSlot
from sophia_cli.reasoning.times import Facing
from sophia_cli.reasoning.vocabulary import Vocabulary, vocabulary

TEXT_AT_MOST: Final = 2000
_THRESHOLD: Final = 2.0
_MARGIN: Final = 0.35
_WRITES: Final = frozenset(kind.name for kind in ALL if kind.writes)
# Verbs that speak of a change, whatever the object; a doubtful sentence that has one is told as "not a write".
_ACTS: Final = frozenset(
    {
        "create",
        "set",
        "point",
        "change",
        "switch",
        "enable",
        "alias",
        "redirect",
        "remove",
        "destroy",
        "scale",
        "up",
        "down",
        "double",
        "triple",
        "halve",
        "issue",
        "renew",
        "deploy",
        "heal",
        "undo",
        "rotate",
        "freeze",
        "thaw",
        "import",
        "optimize",
        "harden",
    }
)
_CAUSATIVE: Final = frozenset({"make", "let", "need"})
# Glue that tells or asks; a clause that orders something has none of it.
_TELLING: Final = frozenset(
    {
        "was",
        "were",
        "did",
        "been",
        "being",
        "has",
        "had",
        "got",
        "gets",
        "who",
        "why",
        "how",
        "when",
        "where",
        "which",
        "what",
    }
)
_NEEDS_NO_ARTICLE: Final = frozenset(
    {"that", "last", "run", "wildcard", "more", "less", "fewer", "new", "where", "why", "who", "howmuch", "howlong"}
)


def read(text: str, surroundings: Surroundings, now: datetime) -> Reading:
    """What a text means. Never raises; the same text, surroundings and time give the same reading."""
    words = vocabulary("en")
    plain = _normalise(text)
    if (refusal := _unreadable(plain)) is not None:
        return refusal
    context = Context(words, surroundings, now)
    tokens = cut(plain, surroundings, words)
    if len(tokens) > WORDS_AT_MOST:
        return Unclear("That is too long for one sentence. Please ask for one thing at a time.")
    facing: Facing = "past" if _looks_back(tokens, words) else "future"
    tokens = understand(tokens, surroundings, words, now, facing)
    if (followed := follow.read(tokens, surroundings)) is not None:
        return _understood(followed, tokens, 0.9)
    doubt = _quoted(plain, tokens, words) or mood(tokens, words)
    if doubt is not None:
        return _doubtful(doubt, tokens, context)
    if (forbidden := _forbidden(tokens, words)) is not None:
        return forbidden
    return _read_clauses(tokens, context)


# -- before the words -----------------------------------------------------------------------------------------------------


def _normalise(text: str) -> str:
    """NFKC, one kind of quotes and spaces; new lines are kept because they mark what was pasted."""
    plain = unicodedata.normalize("NFKC", text[: TEXT_AT_MOST + 1])
    for sign, meant in {
        "‘": "'",
        "’": "'",
        "‛": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "\t": " ",
        "\r": "",
    }.items():
        plain = plain.replace(sign, meant)
    return re.sub(r" +", " ", plain).strip()


def _unreadable(plain: str) -> Reading | None:
    if not plain:
        return Unclear("What shall I do? For example: point api at 203.0.113.9, or: what changed yesterday?")
    if len(plain) > TEXT_AT_MOST:
        return Unclear(f"That is longer than {TEXT_AT_MOST} characters. Please ask for one thing at a time.")
    hidden = sorted({sign for sign in plain if sign != "\n" and unicodedata.category(sign) in {"Cc", "Cf", "Co", "Cs"}})
    if hidden:
        shown = ", ".join(f"U+{ord(sign):04X}" for sign in hidden[:5])
        return Unclear(f"The text has characters that cannot be seen ({shown}), so it is not read. Please type it.")
    return None


def _looks_back(tokens: Sequence[Token], words: Vocabulary) -> bool:
    return any(token.text in words.past or token.text in {"changes", "chnaged", "since", "did"} for token in tokens)


def _quoted(plain: str, tokens: Sequence[Token], words: Vocabulary) -> Why | None:
    """Whether the text is quoted, pasted or speaks in another's role."""
    marks = "\"'`"
    lines = [line for line in plain.splitlines() if line.strip()]
    role = re.match(r"[\w /-]{1,40}:(?!:)\s", plain)
    addressed = role and all(
        word in {"sophia", "hey", "hi", "please", "hello", "ok"} for word in role[0].lower().strip(": ").split()
    )
    if plain[0] in marks or (plain[-1] in marks and plain[0] in marks) or len(lines) > 1 or plain[0] in ">$#{[<|%":
        return Why.quoted
    if role and not addressed and not role[0].lower().startswith(("ttl", "v=")):
        return Why.quoted
    stamped = re.match(r"\[?\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}", plain.lower())
    spoken = any(
        token.kind == "quoted" and len(token.text.split()) > 1 and token.text.split()[0].lower() in words.base
        for token in tokens
    )
    return Why.quoted if stamped or spoken else None


def _forbidden(tokens: Sequence[Token], words: Vocabulary) -> Reading | None:
    """What no sentence may do: remove everything, or speak for the gate."""
    texts = {token.text for token in tokens if token.kind == "word"}
    classes = {name for text in texts for name in words.base.get(text, ())}
    if texts & words.gate and (
        classes & _ACTS or texts & {"approve", "confirm", "authorise", "authorize", "skip", "bypass"}
    ):
        return OutOfScope(
            "Approvals, limits and policy are not moved by a sentence: a person runs sophia approve, or edits the environment."
        )
    removing = {
        token.text
        for token in tokens
        if token.kind == "word" and words.base.get(token.text, frozenset()) & {"remove", "destroy"}
    }
    everything = {text for text in texts if "everything" in words.nouns.get(text, ())}
    if removing and everything:
        return OutOfScope("Everything at once is never removed on a sentence. Name the records one by one.")
    nouns = {name for text in texts for name in words.nouns.get(text, ())}
    named = any(token.kind == "host" for token in tokens) or not nouns & {"zone", "domain", "dns", "infrastructure"}
    if (
        removing
        and nouns & {"zone", "domain", "infrastructure", "dns"}
        and not named
        and not nouns & {"record", "subdomain"}
    ):
        return OutOfScope("A whole domain or zone is never removed on a sentence. Name the records one by one.")
    return None


# -- sentences that only speak of a write ---------------------------------------------------------------------------------


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
        & _ACTS
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


# -- clauses --------------------------------------------------------------------------------------------------------------


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
    acts = any(Clause(part, context).head_classes & _ACTS for part in parts)
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
        text in words.glue or text in words.ing or words.nouns.get(text, frozenset()) & {"traffic", "more"}
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
    scores = _scores(clause)
    if not scores or scores[0][1] < _THRESHOLD:
        return _nothing(clause)
    best = scores[0][1]
    near = [name for name, score in scores if score >= best - _MARGIN][:4]
    if (question or marked) and near[0] in _WRITES:
        reads = [name for name, score in scores if name not in _WRITES and score >= _THRESHOLD]
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
    left = _left_over(name, clause)
    allowed = 0 if name in _WRITES or clause.strict else 1
    entities = [token for token in left if token.kind != "word"]
    other = any(
        token.text in clause.words.nouns for token in left
    )  # It speaks of something that this intent is not about.
    if entities or other or len(left) > allowed or (left and _opens_with(left[0], clause)):
        shown = ", ".join(f'"{token.raw}"' for token in left[:3])
        return Unclear(f"I do not know what {shown} means here. Did you mean this without it?", built[:3], 0.3)
    return Understood(built, 0.85 if left else 1.0)


def _opens_with(token: Token, clause: Clause) -> bool:
    """Whether an unknown word stands where the verb would: "revoke our certificate" is not a look at it."""
    said = [each for each in clause.tokens if each.text not in clause.words.glue and each.text != "<polite>"]
    return bool(said) and said[0] is token


def _left_over(name: str, clause: Clause) -> list[Token]:
    """The tokens that no slot took and that neither glue nor the intent's own vocabulary explains."""
    words, signature = clause.words, clause.words.intents[name]
    own = frozenset(signature.nouns) | frozenset(signature.verbs)
    left: list[Token] = []
    for n, token in enumerate(clause.tokens):
        if n in clause.used or n == clause.head or token.kind in {"comma", "question", "arrow", "stop"}:
            continue
        if token.kind != "word":
            left.append(token)
            continue
        word = token.text
        classes = words.nouns.get(word, frozenset()) | words.base.get(word, frozenset())
        if name not in _WRITES:
            classes |= words.past.get(word, frozenset()) | words.ing.get(word, frozenset())
            own |= {"question", "finding", "status", "record", "domain", "zone", "dns", "setup", "changes"}
        elif word in {"it", "that", "its"} and not _refers(name, clause):
            left.append(token)
            continue
        tells = word in _TELLING and name in _WRITES
        if word in words.glue and not tells:
            continue
        if word.startswith("<") or word in signature.allow or classes & own or word in own:
            continue
        if clause.words.types.get(word) and "type" in signature.nouns:
            continue
        if (word in words.agents and name not in _WRITES) or (word in words.goals and "performance" in signature.nouns):
            continue
        left.append(token)
    return left


def _refers(name: str, clause: Clause) -> bool:
    return name in {"undo_last", "optimize_infrastructure"} or (
        name in {"create_record", "set_record", "remove_record"} and clause.last_name is not None
    )


# -- scores ---------------------------------------------------------------------------------------------------------------


def _scores(clause: Clause) -> list[tuple[str, float]]:
    """Every intent's weight in this clause, the highest first; those whose core is missing are left out."""
    acting, spoken, nouns, entities = _features(clause)
    result: list[tuple[str, float]] = []
    # "revoke the certificate", "set the path": an act that no intent has is not a question about its object.
    imperative = bool(clause.head_classes) and clause.head_classes <= _ACTS | {"make", "let", "need"}
    for name, signature in clause.words.intents.items():
        verbs = acting if name in _WRITES else spoken
        verb = max((signature.verbs[each] for each in verbs if each in signature.verbs), default=0.0)
        if not verb and (name in _WRITES or imperative):
            continue
        features = (
            {f"v.{each}" for each in verbs} | {f"n.{each}" for each in nouns} | {f"e.{each}" for each in entities}
        )
        if signature.core and not any(features.issuperset(group) for group in signature.core):
            continue
        score = verb + sum(
            sorted((signature.nouns[each] for each in nouns if each in signature.nouns), reverse=True)[:3]
        )
        score += sum(
            sorted((signature.entities[each] for each in entities if each in signature.entities), reverse=True)[:3]
        )
        result.append((name, round(score, 3)))
    return sorted(result, key=lambda entry: (-entry[1], entry[0]))


def _features(clause: Clause) -> tuple[set[str], set[str], set[str], set[str]]:
    """Acting verbs (for writes), all verbs (for questions), nouns, and entities of a clause."""
    words = clause.words
    acting = set(clause.head_classes)
    spoken = set(clause.head_classes)
    nouns: set[str] = set()
    entities: set[str] = set()
    for n, token in enumerate(clause.tokens):
        text = token.text
        if token.kind != "word":
            entities |= _entity_features(token, clause)
            if token.kind == "arrow" and clause.head is None:
                acting.add("arrow")
            continue
        spoken |= words.base.get(text, frozenset()) - {"help", "need", "let"}
        if text in words.past:
            spoken.add("past")
        if n != clause.head or not words.base.get(text):
            nouns |= _noun_features(text, clause)
        if clause.head_classes & _CAUSATIVE and n != clause.head:
            acting |= words.base.get(text, frozenset()) & {"point", "expire"}
        if text in {"should", "ttl"} and clause.head is None and n > 0 and not is_question(clause.tokens):
            acting |= {"should"} | (words.base.get("expire", frozenset()) if clause.has("expire") else frozenset())
        entities |= _word_entities(token, clause)
    if is_question(clause.tokens):
        nouns.add("question")
    return acting, spoken, nouns, entities


def _noun_features(text: str, clause: Clause) -> set[str]:
    words = clause.words
    found = set(words.nouns.get(text, ()))
    if text in _NEEDS_NO_ARTICLE or text in {"domains", "certificates", "records", "doctor"}:
        found.add(text)
    if text == "certs":
        found.add("certificates")
    for name, known in (
        ("stage", words.stages),
        ("mailmode", words.mail_modes),
        ("authority", words.authorities),
        ("secretname", words.secrets),
    ):
        if text in known:
            found.add(name)
    if text in {"apikey"}:
        found.add("secret")
    if text in {"origin", "howmuch", "howlong"}:
        found.add(text)
    if text == "<can>":
        found.add("can")
    if text in words.types and text != "a":
        found.add("type")
    return found


def _entity_features(token: Token, clause: Clause) -> set[str]:
    if token.kind == "host":
        return {"host", "zone"} if token.text in clause.around.zones else {"host"}
    if token.kind == "time" and token.when is not None:
        return {"time"} | ({"end"} if token.when.kind == "end" else set())
    return {{"ip4": "address", "ip6": "address", "quoted": "value"}.get(token.kind, token.kind)}


def _word_entities(token: Token, clause: Clause) -> set[str]:
    found: set[str] = set()
    if any(name == token.raw.lower() for _, name, _ in clause.around.records or ()):
        found.add("name")
    if clause.environment(token.text):
        found.add("environment")
    if clause.service(token):
        found.add("service")
    if token.text in clause.words.stages:
        found.add("stage")
    if token.text in clause.words.agents:
        found.add("agent")
    return found
