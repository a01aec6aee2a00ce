"""SPF beside pyspf and DMARC beside checkdmarc: the same verdict, but for the disagreements listed here, which an RFC decides."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Mapping
from typing import Any

import pytest

from sophia_cli.checks.facts import Background, Facts
from sophia_cli.checks.questions import elsewhere
from sophia_cli.checks.registry import examine
from sophia_cli.core.dns import Record, Zone
from sophia_cli.core.dns_facts import Answer, LiveDns, Question
from tests.checks.check_cases import NOW

DOMAIN = "acme.example"
NET: dict[tuple[str, str], tuple[str, ...]] = {
    ("ok.net", "TXT"): ("v=spf1 ip4:185.199.110.0/24 -all",),
    ("deep.net", "TXT"): ("v=spf1 include:ok.net include:ok.net include:ok.net include:ok.net -all",),
    ("two.net", "TXT"): ("v=spf1 -all", "v=spf1 ~all"),
    ("text.net", "TXT"): ("hello",),
    ("loop.net", "TXT"): ("v=spf1 include:loop.net -all",),
    ("bad.net", "TXT"): ("v=spf1 ipv4:1.1.1.1 -all",),
    ("alln.net", "TXT"): ("v=spf1 -all include:gone.net",),
    ("host.net", "A"): ("185.199.110.1",),
    ("six.net", "AAAA"): ("2606:50c0::1",),
    ("mx.net", "MX"): ("host.net.",),
    ("many.net", "MX"): tuple(f"m{n:02}.net." for n in range(11)),
    **{(f"m{n:02}.net", "A"): (f"185.199.110.{n}",) for n in range(11)},
}
NAMES = {name for name, _ in NET}
TERMS = (
    "ip4:185.199.110.0/24", "ip6:2606:50c0::/32", "a:host.net", "mx:mx.net", "include:ok.net", "include:deep.net",
    "exists:six.net", "a:gone.net", "a:gone1.net", "a:gone2.net", "include:two.net", "include:text.net", "include:gone.net",
    "include:loop.net", "include:bad.net", "include:alln.net", "mx:many.net", "?all", "~all", "-all", "ip4:300.1.1.1",
    "ip4:1.1.1.1/33",
    "a:host.net/24", "a:host.net//64", "bogus", "all:x", "include:", "exp=text.net", "x-unknown=1", "redirect=ok.net",
    "ptr", "A:HOST.NET", "ip4:1.1.1.1/08", "include:ok.net/24", "mx:mx.net/33",
)  # fmt: skip
VERDICTS = {"MAIL-SPF-SYNTAX", "MAIL-SPF-LOOKUPS", "MAIL-SPF-VOID", "MAIL-SPF-MX10", "MAIL-SPF-INCLUDE"}


def absent(package: str) -> Any:
    gone = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(gone, reason=f"{package} is not installed (a development requirement)")


def facts_of(record: str, name: str = "@") -> Facts:
    """The domain with one TXT record, and the answers to everything the checks ask."""
    zone = Zone.of(DOMAIN, "MX", [Record(name, "TXT", record, 3600)])
    answers: dict[Question, Answer] = {}
    while True:
        facts = Facts(zone, NOW, None, Background(dns=LiveDns(DOMAIN, NOW, answers=answers)))
        wanted = [question for question in elsewhere(facts) if question not in answers]
        if not wanted:
            return facts
        answers = {**answers, **{question: answer_to(question) for question in wanted}}


def answer_to(question: Question) -> Answer:
    values = NET.get((question.name, question.type), ())
    status: Any = "found" if values else "empty" if question.name in NAMES else "nxdomain"
    return Answer(question, status, values, tuple(range(len(values))) if question.type == "MX" else ())


def ours(record: str) -> bool:
    """Whether we say that a receiver gets a permanent error from this record, when it has to read all of it."""
    return bool(VERDICTS & {one.id for one in examine(facts_of(record))[0]})


def theirs(record: str) -> bool:
    """Whether pyspf says so, for a sender that no term of the record matches."""
    import spf

    net: Mapping[tuple[str, str], tuple[str, ...]] = {**NET, (DOMAIN, "TXT"): (record,)}

    def look_up(name: str, kind: str, *_: Any, **__: Any) -> list[Any]:
        asked = name.lower().rstrip(".")
        values = net.get((asked, kind), ())
        if kind == "MX":
            return [((name, kind), (n, value.rstrip("."))) for n, value in enumerate(values)]
        return [((name, kind), (value.encode(),) if kind == "TXT" else value) for value in values]

    before = spf.DNSLookup
    spf.DNSLookup = look_up
    try:
        return bool(spf.query(i="203.0.113.99", s=f"a@{DOMAIN}", h="mx.test").check()[0] == "permerror")
    finally:
        spf.DNSLookup = before


# Where the two disagree, RFC 7208 decides for the verdict given here (True: a permanent error).
def decided(record: str) -> tuple[bool, str] | None:
    """What the RFC says of a record that the two judge apart, with the section; None where nothing is known."""
    modifiers = [term for term in record.split()[1:] if term.startswith("x-unknown=")]
    if len(modifiers) > 1:
        return False, "RFC 7208 6: an unrecognized modifier is ignored no matter where or how often"
    return None


RECORDS = sorted(
    {
        "v=spf1 "
        + " ".join([*(dice.choice(TERMS) for _ in range(dice.randint(1, 4))), dice.choice(("-all", "~all", ""))])
        for dice in (random.Random(seed) for seed in range(600))
    }
    | {f"v=spf1 {term} -all" for term in TERMS}
)


@absent("spf")
def test_spf_verdicts_are_those_of_pyspf() -> None:
    differ = {record: ours(record) for record in RECORDS if ours(record) != theirs(record)}
    assert {record: mine for record, mine in differ.items() if (decided(record) or (None,))[0] is not mine} == {}


# -- DMARC ---------------------------------------------------------------------------------------------------------------

DMARC_VALUES = {
    "p": ("none", "quarantine", "reject", "REJECT", "rejected", ""), "sp": ("none", "reject", "x"), "np": ("none", "x"),
    "adkim": ("r", "s", "S", "strict"), "aspf": ("r", "s", "relaxed"), "t": ("y", "n", "x"), "psd": ("y", "n", "u", "x"),
    "rua": ("d@acme.example", "https://acme.example/r"),  # checkdmarc looks mailto receivers up while it parses
    "fo": ("1", "0:d:s"), "pct": ("50", "100"), "unknown": ("x",),
}  # fmt: skip


def dmarc_records() -> list[str]:
    found = {"v=DMARC1", "v=DMARC1;", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC1 p=none", "v=DMARC1; p=none; p=none",
             "v = DMARC1 ; p = none ;", "v=DMARC1; p=none; stray"}  # fmt: skip
    for seed in range(300):
        dice = random.Random(seed)
        tags = dice.sample(sorted(DMARC_VALUES), dice.randint(1, 4))
        pairs = [f"{tag}={dice.choice(DMARC_VALUES[tag])}" for tag in sorted(tags, key=lambda tag: tag != "p")]
        found.add("; ".join(["v=DMARC1", *pairs]))
    return sorted(found)


def dmarc_ours(record: str) -> bool:
    """Whether we call the record sound."""
    return not {"MAIL-DMARC-SYNTAX", "MAIL-DMARC-NONE"} & {one.id for one in examine(facts_of(record, "_dmarc"))[0]}


def dmarc_theirs(record: str) -> bool:
    """Whether checkdmarc reads the record."""
    import checkdmarc.dmarc

    class Silent:
        """A resolver that nobody may ask: receivers of reports are another check."""

        def __getattr__(self, name: str) -> Any:
            raise AssertionError("a syntax check was to ask nobody")

    try:
        checkdmarc.dmarc.parse_dmarc_record(record, DOMAIN, resolver=Silent())  # type: ignore[arg-type]
    except checkdmarc.dmarc.DMARCError:
        return False
    return True


def dmarc_decided(record: str) -> tuple[bool, str] | None:
    """What the RFC says of a record that the two judge apart; None where nothing is known."""
    if any(f"{tag}={word}" in record for tag in ("adkim", "aspf") for word in ("strict", "relaxed")):
        return False, "RFC 9989 4.8: dmarc-rors is r or s"
    return None


@absent("checkdmarc")
def test_dmarc_verdicts_are_those_of_checkdmarc() -> None:
    records = dmarc_records()
    differ = {record: dmarc_ours(record) for record in records if dmarc_ours(record) != dmarc_theirs(record)}
    assert {record: mine for record, mine in differ.items() if (dmarc_decided(record) or (None,))[0] is not mine} == {}
    assert 0 < sum(map(dmarc_ours, records)) < len(records)
