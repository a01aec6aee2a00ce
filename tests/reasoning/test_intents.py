"""Intents: checked slots, an equal command, a reading."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.core import TyperGroup
from typer.exceptions import TyperException

from sophia_cli.cli.app import application
from sophia_cli.reasoning import intents as i
from sophia_cli.reasoning.engine import read
from sophia_cli.reasoning.reading import Understood
from sophia_cli.reasoning.slots import InvalidSlot
from tests.evaluation.evaluate import MAIN, NOW

SOON = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
EXAMPLES: tuple[tuple[i.Intent, str], ...] = (
    (i.CreateRecord("example.com", "api", "A", "203.0.113.9"), "sophia record set api.example.com A 203.0.113.9"),
    (
        i.CreateRecord("example.com", "dashboard-dev", "A"),
        "sophia ask 'create a subdomain dashboard-dev.example.com'",
    ),
    (
        i.CreateRecord("example.com", "@", "MX", "mail.example.com", priority=10),
        "sophia record set --priority 10 example.com MX mail.example.com.",
    ),
    (
        i.SetRecord("example.com", "www", "CNAME", "example.com", ttl=600),
        "sophia record set --ttl 600 www.example.com CNAME example.com.",
    ),
    (
        i.SetRecord("example.com", "www", "CNAME", ttl=600),
        "sophia ask 'set the CNAME record www.example.com ttl to 600'",
    ),
    (i.RemoveRecord("example.com", "blog", "CNAME"), "sophia record remove blog.example.com CNAME"),
    (i.RemoveRecord("example.com", "blog"), "sophia ask 'remove the record blog.example.com'"),
    (
        i.SetMail("example.com", "GMAIL"),
        "sophia config set dns.email_type GMAIL && sophia deploy --target dns:example.com",
    ),
    (i.CreateEnvironment("staging", "testing", SOON), "sophia stack create --until 2026-11-18T10:00:00Z staging"),
    (i.ExpireEnvironment("qa", SOON), "sophia stack expire --at 2026-11-18T10:00:00Z qa"),
    (i.DestroyEnvironment("qa"), "sophia stack destroy qa"),
    (
        i.ScaleService("web", "up", percent=50, end=SOON),
        "sophia stack scale --up --by 50% --until 2026-11-18T10:00:00Z web",
    ),
    (i.ScaleService("web", "down", every="night"), "sophia stack scale --down --every night web"),
    (i.OptimizeInfrastructure("of traffic"), "sophia deploy --ai-enhanced"),
    (i.IssueCertificate(("*.example.com",), "letsencrypt"), "sophia cert issue --set ssl.provider=letsencrypt"),
    (i.IssueCertificate(("example.com",)), "sophia cert issue"),
    (i.RenewCertificate(("example.com",)), "sophia cert renew"),
    (i.InspectCertificate("example.com"), "sophia cert show example.com"),
    (i.OptimizeCertificates("performance"), "sophia analyze --agent ssl --agent security"),
    (
        i.OptimizeCertificates(domain="example.com"),
        "sophia analyze --agent ssl --agent security dns:example.com",
    ),
    (i.RotateSecret("namecheap.api_key"), "sophia secrets rotate namecheap.api_key"),
    (i.Analyze("dns:example.com", "dns"), "sophia analyze --agent dns dns:example.com"),
    (i.ExplainFinding("DNS-CNAME-APEX"), "sophia analyze -v"),
    (i.ExplainProposal("p1"), "sophia config learning"),
    (i.ExplainSetting("dns.ttl"), "sophia config explain dns.ttl"),
    (i.MakePlan("qa"), "sophia plan --stack qa"),
    (i.Deploy(target="dns:example.com"), "sophia deploy --target dns:example.com"),
    (i.Heal(), "sophia heal"),
    (i.RollbackRun("20261117-1a2b3c"), "sophia rollback 20261117-1a2b3c"),
    (i.UndoLast(), "sophia rollback"),
    (i.Freeze("dns:example.com"), "sophia freeze dns:example.com"),
    (i.Thaw(), "sophia thaw"),
    (i.ImportZone("example.com"), "sophia import example.com"),
    (
        i.WhatChanged("who", "api", "example.com", "alice", SOON),
        "sophia audit show --since 2026-11-18T10:00:00Z --by alice --target dns:example.com",
    ),
    (i.ShowCost(), "sophia analyze --agent cost"),
    (i.ShowRenewals(until=SOON), "sophia analyze --agent cost"),
    (i.ShowExpiry("certificate", "example.com"), "sophia cert show example.com"),
    (i.ShowExpiry("domain", "example.com"), "sophia analyze --agent cost dns:example.com"),
    (i.ShowStatus("service", "web"), "sophia ask 'how is the service web doing?'"),
    (i.ShowStatus("stack", "qa"), "sophia stack show qa"),
    (i.ShowStatus("domain", "example.com"), "sophia analyze dns:example.com"),
    (i.VerifyAudit(), "sophia audit verify"),
    (i.Doctor(), "sophia doctor"),
    (i.Help(), "sophia --help"),
    (i.ShowRecords("example.com"), "sophia ask 'list the records of example.com'"),
    (i.ShowRecords("example.com", "count", type="MX"), "sophia ask 'how many MX records are in example.com'"),
    (i.ShowRecords("example.com", "owner", "api"), "sophia ask 'who owns the record api.example.com?'"),
    (i.ShowRecords("example.com", record="api"), "sophia ask 'is there a record api.example.com?'"),
    (
        i.ShowRecords("example.com", value="203.0.113.9"),
        "sophia ask 'which names in example.com point to 203.0.113.9?'",
    ),
    (i.ShowDrift(), "sophia plan"),
    (i.ShowRun("20261117-1a2b3c"), "sophia audit show --run 20261117-1a2b3c"),
    (i.ShowSecrets(), "sophia secrets list"),
    (i.ShowStacks(), "sophia stack list"),
    (i.ShowFreeze(), "sophia ask 'is anything frozen?'"),
)


def test_every_intent_stands_among_the_examples() -> None:
    assert {type(intent) for intent, _ in EXAMPLES} == set(i.ALL)


@pytest.mark.parametrize(("intent", "command"), EXAMPLES, ids=[intent.name for intent, _ in EXAMPLES])
def test_an_intent_has_an_equal_command_and_a_reading(intent: i.Intent, command: str) -> None:
    assert intent.command() == command
    assert intent.reading().startswith("I read this as: ")
    assert intent.reading().endswith(".")


@pytest.mark.parametrize("command", [command for _, command in EXAMPLES])
def test_every_command_an_intent_prints_is_one_that_the_command_line_takes(command: str) -> None:
    for one in command.split(" && "):
        words = shlex.split(one)
        assert words[0] == "sophia"
        if words[1:] != ["--help"]:
            _parsed(words[1:])


def test_a_command_that_is_not_there_is_found_out() -> None:
    for words in (
        ["cert", "optimize"],
        ["cert", "issue", "--ca", "letsencrypt"],
        ["metrics", "web"],
        ["record", "set", "www"],
    ):
        with pytest.raises(TyperException):
            _parsed(words)


def _parsed(words: list[str]) -> None:
    """Let the real command line take the words apart, without running anything. Raises `TyperException`."""
    command, context = typer.main.get_command(application()), None
    while isinstance(command, TyperGroup):
        context = command.make_context("sophia", words, parent=context)
        _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
    command.make_context("sophia", list(words), parent=context)


@pytest.mark.parametrize(
    "intent",
    [intent for intent, command in EXAMPLES if command.startswith("sophia ask ")],
    ids=lambda intent: intent.name,
)
def test_an_intent_whose_command_is_a_sentence_is_read_from_it_again(intent: i.Intent) -> None:
    sentence = shlex.split(intent.command())[2]
    reading = read(sentence, MAIN, NOW)
    assert isinstance(reading, Understood), reading
    assert reading.intents == (_known(intent),)


def _known(intent: i.Intent) -> i.Intent:
    """With the type that the known records give to a record that was named without one."""
    return replace(intent, type="CNAME") if isinstance(intent, i.RemoveRecord) else intent


@pytest.mark.parametrize("intent", [intent for intent, _ in EXAMPLES], ids=lambda intent: intent.name)
def test_an_intent_is_built_again_from_its_slots(intent: i.Intent) -> None:
    assert i.build(intent.name, intent.slots()) == intent
    assert hash(i.build(intent.name, intent.slots())) == hash(intent)


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("delete_zone", {}),
        ("freeze", {"everything": "yes"}),
        ("freeze", {"target": "--yes"}),
        ("create_record", {"domain": "example.com", "record": "@", "type": "CNAME", "value": "a.example.com"}),
        ("create_record", {"domain": "example.com", "record": "a b", "type": "A"}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "A", "value": "203.0.113.999"}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "A", "value": "2001:db8::1"}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "TXT"}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "TXT", "value": "a\nb"}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "A", "ttl": 59}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "A", "ttl": 60001}),
        ("create_record", {"domain": "example.com", "record": "x", "type": "A", "priority": 5}),
        ("create_record", {"domain": "localhost", "record": "x", "type": "A"}),
        ("set_record", {"domain": "example.com", "record": "x", "type": "A"}),
        ("remove_record", {"domain": "example.com"}),
        ("set_mail", {"domain": "example.com", "mode": "SMTP"}),
        ("scale_service", {"service": "web", "direction": "sideways"}),
        ("scale_service", {"service": "web", "direction": "to"}),
        ("scale_service", {"service": "web", "direction": "up", "amount": 0}),
        ("scale_service", {"service": "web", "direction": "up", "amount": 2, "percent": 5}),
        ("scale_service", {"service": "web", "direction": "down", "percent": 100}),
        ("scale_service", {"service": "web", "direction": "up", "end": "soon"}),
        ("scale_service", {"service": "web", "direction": "up", "end": "2026-11-18T10:00:00"}),
        ("issue_certificate", {"names": []}),
        ("issue_certificate", {"names": ["example.com"], "authority": "evil"}),
        ("rollback_run", {"run": "$(reboot)"}),
        ("what_changed", {"asks": "where"}),
        ("analyze", {"agent": "root"}),
    ],
)
def test_a_slot_that_is_not_valid_is_refused(name: str, slots: dict[str, str | int | None]) -> None:
    with pytest.raises(InvalidSlot):
        i.build(name, slots)


def test_international_names_become_their_ascii_form() -> None:
    assert i.CreateRecord("münchen.example", "Büro", "A").slots()["domain"] == "xn--mnchen-3ya.example"
    assert i.CreateRecord("münchen.example", "Büro", "A").record == "xn--bro-hoa"


@given(st.text(min_size=1, max_size=40))
def test_a_value_survives_the_shell_and_is_never_a_flag(value: str) -> None:
    try:
        intent = i.CreateRecord("example.com", "x", "TXT", value)
    except InvalidSlot:
        assert any(ord(sign) < 32 or ord(sign) == 127 for sign in value)
        return
    words = shlex.split(intent.command())
    assert words[-1] == value
    assert not value.startswith("-") or "--" in words[:-1]


def test_intents_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        i.Freeze("dns:example.com").target = None  # type: ignore[misc]
