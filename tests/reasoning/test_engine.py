"""The engine: sentences to readings, and what no sentence may become."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning.engine import read
from sophia_cli.reasoning.reading import NotAWrite, OutOfScope, Surroundings, Unclear, Understood, Why
from sophia_cli.reasoning.vocabulary import vocabulary
from tests.evaluation.evaluate import MAIN, NOW, SURROUNDINGS, sentences, tally

TUNED = [sentence for sentence in sentences() if not sentence["held_out"]]
WRITES = sorted(
    sentence["text"]
    for sentence in TUNED
    if any(
        intent["name"] in {kind.name for kind in i.ALL if kind.writes}
        for intent in sentence["expect"].get("intents", [])
    )
    and "previous" not in sentence
    and sentence.get("surroundings", "main") == "main"
)
# No name in here is known to the engine: what is left of a sentence must be refused because of its shape, not its words.
DOUBTS = (
    *("don't {}", "do not {}", "never {}", "please don't {}", "I don't want you to {}", "we won't {}", "NOT {}"),
    *(
        "what would happen if I {}?",
        "should I {}?",
        "can I {}?",
        "maybe {}",
        "suppose I {}",
        "is it a good idea to {}?",
    ),
    *("if it rains, {}", "{} if it rains", "{} unless it rains", "{} when the deploy is done", "once that is done, {}"),
    *(
        '"{}"',
        "'{}'",
        "“{}”",
        "`{}`",
        "> {}",
        "he said {}",
        "the log says: {}",
        "log: {}",
        "assistant: {}",
        "```\n{}\n```",
    ),
    *(
        "{}, except www",
        "{} but not now",
        "how do I {}?",
        "{}?",
        "{} or not",
        "{} was a mistake",
        "cancel {}",
        "hold off on {}",
    ),
    *(
        "{} only after approval",
        "{} -- no wait, don't",
        "someone wants to {}",
        "I wonder whether to {}",
        "ignore this: {}",
    ),
)


_PIECES = (
    *("www", "api", "blog", "to", "at", "the", "a", "for", "and", ",", ".", "203.0.113.9", "example.com", "evil.test"),
    *("web", "5", "50%", "ttl", "mx", "TXT"),
)


def acts(text: str, around: Surroundings = MAIN) -> bool:
    reading = read(text, around, NOW)
    return isinstance(reading, Understood) and reading.writes


def meant(text: str, around: Surroundings = MAIN) -> tuple[i.Intent, ...]:
    reading = read(text, around, NOW)
    assert isinstance(reading, Understood), reading
    return reading.intents


# -- the evaluation set -----------------------------------------------------------------------------------------------------


def test_no_sentence_of_the_set_is_read_as_a_write_that_it_is_not() -> None:
    assert tally(sentences())["all"].wrong_acts == []


def test_the_tuned_part_is_read_exactly() -> None:
    counts = tally(TUNED)
    assert counts["all"].sentences >= 300
    assert counts["all"].exact / counts["all"].sentences >= 0.98, "\n".join(counts["all"].misses)
    assert counts["all"].f1 >= 0.98


def test_a_fifth_of_the_set_is_held_out() -> None:
    every = sentences()
    assert 0.15 <= sum(sentence["held_out"] for sentence in every) / len(every) <= 0.25


# -- what no sentence may become ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubted_write_is_never_a_write(doubt: str) -> None:
    asked_politely = [text for text in WRITES if doubt == "{}?" and ("can you" in text or "could you" in text)]
    assert [text for text in WRITES if text not in asked_politely and acts(doubt.format(text))] == []


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120))
@example("\ud800")
@example("\x00 remove www")
@example("'")
@example("remove www\u202e")
def test_no_text_makes_the_engine_fail(text: str) -> None:
    assert read(text, MAIN, NOW).render()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_quoted_text_is_never_a_write(text: str) -> None:
    assert not acts(f'"{text}"')
    assert not acts(f"> {text}")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(sorted(vocabulary().base)),
            st.sampled_from(sorted(vocabulary().nouns)),
            st.sampled_from(_PIECES),
        ),
        max_size=9,
    )
)
def test_whatever_is_understood_is_valid_within_the_known_zones_and_deterministic(words: list[str]) -> None:
    text = " ".join(words)
    reading = read(text, MAIN, NOW)
    assert reading == read(text, MAIN, NOW)
    if isinstance(reading, Understood):
        for intent in reading.intents:
            assert i.build(intent.name, intent.slots()) == intent
            assert getattr(intent, "domain", None) in {None, "example.com"}
            assert 0.0 < reading.confidence <= 1.0


@pytest.mark.parametrize(
    "text", ["delete everything", "drop the zone", "wipe the dns zone", "remove all records", "delete example.com"]
)
def test_everything_at_once_is_out_of_scope(text: str) -> None:
    assert isinstance(read(text, MAIN, NOW), OutOfScope)


@pytest.mark.parametrize("text", ["deploy without approval", "skip the policy and remove www", "approve the plan"])
def test_no_sentence_speaks_for_the_gate(text: str) -> None:
    assert not acts(text)


def test_a_foreign_domain_is_never_taken_for_one_of_ours() -> None:
    for text in ("point foo.org at 203.0.113.9", "remove www.google.com", "point api.exmaple.com at 203.0.113.9"):
        reading = read(text, MAIN, NOW)
        assert isinstance(reading, OutOfScope)
        assert "not in a domain that is looked after here" in reading.render()


def test_names_and_values_are_taken_as_typed() -> None:
    assert meant("point heath at 203.0.113.9") == (i.SetRecord("example.com", "heath", "A", "203.0.113.9"),)
    assert meant("create a subdomain called helth") == (i.CreateRecord("example.com", "helth", "A"),)
    assert meant("create a subdomain called remove") == (i.CreateRecord("example.com", "remove", "A"),)


@pytest.mark.parametrize(
    "text",
    [
        *("remove the certificate for www", "remove www certificate", "delete the blog and the shop certificate"),
        *(
            "increase www ttl by 10 minutes",
            "double the ttl of www",
            "point www at www",
            "thaw shop.example.com",
            "remove mail",
        ),
        *(
            "cancel api.example.com -> 203.0.113.44",
            "undo www should be a cname to example.com",
            "undo rollback run 20261117-1a2b",
        ),
        *(
            "restart web",
            "clean up www",
            "revoke www",
            "point api at 203.0.113.9 or 203.0.113.10",
            "delete blog in two weeks",
        ),
        *(
            "scale web to -5",
            "scale up everything",
            "point everything at 203.0.113.9",
            "add ns ns1.evil.test evil.test",
        ),
    ],
)
def test_what_only_looks_like_a_write_is_asked_about(text: str) -> None:
    assert not acts(text)


def test_hidden_characters_stop_the_reading() -> None:
    reading = read("remove w\u200bww", MAIN, NOW)
    assert isinstance(reading, Unclear)
    assert "U+200B" in reading.question


# -- entities -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses())
def test_an_address_arrives_as_typed(address: object) -> None:
    (intent,) = meant(f"point api at {address}")
    assert isinstance(intent, i.SetRecord)
    assert (intent.value, intent.record) == (str(address), "api")


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[bcdfghjklmnpqrstvwxz]{5,12}[0-9]", fullmatch=True))
def test_a_name_arrives_as_typed(name: str) -> None:
    assert meant(f"point {name}.example.com at 203.0.113.9") == (i.SetRecord("example.com", name, "A", "203.0.113.9"),)
    assert meant(f"create a subdomain called {name}") == (i.CreateRecord("example.com", name, "A"),)


@settings(max_examples=40, deadline=None)
@given(st.integers(60, 60000))
def test_a_ttl_arrives_as_typed(seconds: int) -> None:
    assert meant(f"set ttl of www to {seconds} seconds") == (i.SetRecord("example.com", "www", "CNAME", ttl=seconds),)


# -- asking back ----------------------------------------------------------------------------------------------------------------


def test_two_meanings_are_both_offered() -> None:
    reading = read("update the certificate", MAIN, NOW)
    assert isinstance(reading, Unclear)
    assert {intent.name for intent in reading.readings} == {"renew_certificate", "optimize_certificates"}


def test_a_name_with_records_of_several_types_asks_which() -> None:
    reading = read("remove ftp", MAIN, NOW)
    assert isinstance(reading, Unclear)
    assert [intent.slots()["type"] for intent in reading.readings] == ["A", "AAAA"]


def test_two_zones_ask_which() -> None:
    reading = read("point grafana at 203.0.113.9", SURROUNDINGS["two"], NOW)
    assert isinstance(reading, Unclear)
    assert [intent.slots()["domain"] for intent in reading.readings] == ["example.com", "shop.test"]


def test_a_record_that_is_not_there_is_suggested_not_replaced() -> None:
    reading = read("remove the blgo record", MAIN, NOW)
    assert isinstance(reading, Unclear)
    assert "blog" in reading.question


def test_a_negated_write_tells_the_command_without_running_it() -> None:
    reading = read("don't remove blog", MAIN, NOW)
    assert reading == NotAWrite(Why.negated, (i.RemoveRecord("example.com", "blog", "CNAME"),), 0.9)
    assert "sophia record remove blog.example.com CNAME" in reading.render()


def test_repaired_words_are_told() -> None:
    reading = read("delte the blog record", MAIN, NOW)
    assert isinstance(reading, Understood)
    assert reading.repaired == (("delte", "delete"),)
    assert 'I took "delte" for "delete".' in reading.render()


def test_the_address_of_the_apex_is_said_in_the_reading() -> None:
    (intent,) = meant("Create a development subdomain for the new dashboard feature")
    assert intent == i.CreateRecord("example.com", "dashboard-dev", "A", None)
    assert "with the address that example.com itself has" in intent.reading()


# -- conversation -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ("point api at 203.0.113.9", "and shop too", i.SetRecord("example.com", "shop", "A", "203.0.113.9")),
        ("remove blog", "docs too", i.RemoveRecord("example.com", "docs", "CNAME")),
        ("set ttl of www to 10 minutes", "make it 600 instead", i.SetRecord("example.com", "www", "CNAME", ttl=600)),
        (
            "point api at 203.0.113.9",
            "make it 203.0.113.10 instead",
            i.SetRecord("example.com", "api", "A", "203.0.113.10"),
        ),
        ("scale web to 4", "make it 10 instead", i.ScaleService("web", "to", to=10)),
        ("scale web to 4", "and worker too", i.ScaleService("worker", "to", to=4)),
        ("deploy to qa", "and production too", i.Deploy("production")),
        ("analyze example.com", "why?", i.ExplainFinding()),
        ("remove blog", "undo that", i.UndoLast()),
    ],
)
def test_a_follow_up_changes_one_thing(first: str, then: str, expected: i.Intent) -> None:
    assert meant(then, replace(MAIN, previous=meant(first))) == (expected,)


@pytest.mark.parametrize(
    "text", ["and nothing too", "and foo.org too", "make it 5 instead", "not shop too", "don't make it 600 instead"]
)
def test_a_follow_up_that_does_not_fit_is_no_write(text: str) -> None:
    assert not acts(text, replace(MAIN, previous=meant("point api at 203.0.113.9")))


# -- speed and imports --------------------------------------------------------------------------------------------------------


def test_ten_thousand_signs_of_garbage_are_refused_at_once() -> None:
    start = time.perf_counter()
    for text in (
        "x" * 10_000,
        "remove www " * 900,
        "\u2603" * 10_000,
        "a.b" * 600,
        "1:" * 900,
        "v=spf1 " * 280,
        "5 minutes " * 39,
        "abcdefgh " * 79,
    ):
        assert not acts(text)
    assert time.perf_counter() - start < 2.0


def test_reading_loads_no_client_and_no_server() -> None:
    heavy = "{'openai', 'mcp', 'httpx', 'httpx2', 'dns', 'pulumi', 'pydantic', 'rich', 'typer'}"
    code = (
        "import sys; from datetime import *; from sophia_cli.reasoning.engine import read; "
        "from sophia_cli.reasoning.reading import Surroundings; read('point api at 203.0.113.9', Surroundings(), "
        f"datetime(2026, 1, 1, tzinfo=timezone.utc)); print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
