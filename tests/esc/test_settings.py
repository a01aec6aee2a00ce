"""Settings: every section typed, every rule of records, and no secret in any message."""

# ruff: noqa: E501  (the tables hold one case a line)

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from sophia_cli.core.dns import Record
from sophia_cli.core.errors import InvalidEnvironment, UnknownValue
from sophia_cli.core.settings import DesiredZone, Limits
from sophia_cli.esc.environment import Environment
from sophia_cli.esc.load import load
from sophia_cli.esc.locate import find
from sophia_cli.esc.settings import WITHOUT_EFFECT, Reading, read, settings

Evaluate = Callable[..., Environment]
ROOT = Path(__file__).parents[2]
VARIABLES = {
    "LAMBDA_IP_ADDRESS": "203.0.113.7",
    "GH_IP_ADDRESS": "203.0.113.8",
    "NAMECHEAP_API_USER": "acme-user",
    "NAMECHEAP_API_KEY": "acme-key",
    "NAMECHEAP_USERNAME": "acme-name",
    "SSL_ADMIN_EMAIL": "tls@acme.example",
    "ALERT_EMAIL": "ops@acme.example",
}


def said(found: Reading, severity: str = "error") -> list[tuple[int, int, str]]:
    return [(one.at.line, one.at.column, one.message) for one in found.diagnostics if one.severity == severity]


def zone(environment: Environment) -> DesiredZone:
    (found,) = settings(environment).zones
    return found


# -- the example ---------------------------------------------------------------------------------------------------------


def test_the_example_loads_with_its_variables_and_types_every_section() -> None:
    found = settings(load(find(ROOT / "examples/acme"), variables=VARIABLES))
    (one,) = found.zones
    assert one.name == "acme.example"
    assert [item.record for item in one.records] == [
        Record(name, "A", "203.0.113.7", 300) for name in ("api", "@", "*")
    ]
    assert {item.secret for item in one.records} == {frozenset({"value"})}
    assert found.namecheap.api_key is not None
    assert found.namecheap.api_key.get_secret_value() == "acme-key"
    assert found.namecheap.client_ips["github_actions"] == "203.0.113.8"
    assert found.ssl.domains == ("acme.example", "*.acme.example")
    assert found.intelligence.optimization_level == "aggressive"
    assert found.intelligence.autonomy == "suggest"
    assert found.security.secret_rotation_days == 90
    assert found.stack == "production"
    assert "acme-key" not in repr(found)
    assert "acme-key" in {secret.get_secret_value() for secret in found.secrets}


def test_the_example_without_its_variables_names_each_with_file_and_line() -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        settings(load(find(ROOT / "examples/acme"), variables={}))
    assert caught.value.exit_code == 64
    for name, line in zip(VARIABLES, (18, 20, 46, 48, 50, 61, 71), strict=True):
        assert f'production.yaml:{line}:19: unknown property "{name}"' in caught.value.message
    assert len(caught.value.details["diagnostics"]) == len(VARIABLES)


def test_the_example_of_the_page_about_environments_is_true(evaluate: Evaluate) -> None:
    page = (ROOT / "docs/environment.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    found = settings(evaluate(text, {"platform-base.yaml": "values: {}"}, variables={"WEB_IP": "192.0.2.1"}))
    assert [one.record.value for one in found.zones[0].records] == ["192.0.2.1", "acme.example."]


# -- zones ---------------------------------------------------------------------------------------------------------------


def dns(records: str, more: str = "") -> str:
    return f"values:\n  dns:\n    domain: example.com\n{more}    records:\n{records}"


def test_records_take_the_zones_ttl_and_keep_none_when_nothing_gives_one(evaluate: Evaluate) -> None:
    record = "      a: {name: '@', type: a, value: 192.0.2.1}\n      b: {name: b.example.com, type: TXT, value: x, ttl: 60}\n"
    assert [one.record for one in zone(evaluate(dns(record, "    ttl: 300\n"))).records] == [
        Record("@", "A", "192.0.2.1", 300),
        Record("b", "TXT", "x", 60),
    ]
    assert zone(evaluate(dns(record))).records[0].record.ttl is None


def test_values_make_one_record_each_and_targets_become_absolute(evaluate: Evaluate) -> None:
    text = "      a: {name: a, type: A, values: [192.0.2.1, 192.0.2.2]}\n      m: {name: '@', type: MX, value: Mail.Example.NET, priority: 5, protect: true}\n"
    found = zone(evaluate(dns(text)))
    assert [one.record for one in found.records] == [
        Record("a", "A", "192.0.2.1"),
        Record("a", "A", "192.0.2.2"),
        Record("@", "MX", "mail.example.net.", None, 5),
    ]
    assert [one.protect for one in found.records] == [False, False, True]


def test_several_domains_inherit_what_they_do_not_say(evaluate: Evaluate) -> None:
    text = """
dns:
  ttl: 300
  email_type: NONE
  purge: true
  domains:
    Example.COM: {records: {a: {name: a, type: A, value: 192.0.2.1}}}
    example.org: {ttl: 60, purge: false, email_type: FWD, nameservers: ["127.0.0.1:5353"], delegation: default}
    example.net: {delegation: [ns1.example.org., NS2.example.org]}
"""
    com, net, org = settings(evaluate(text)).zones
    assert (com.name, com.ttl, com.email_type, com.purge, com.delegation) == ("example.com", 300, "NONE", True, None)
    assert com.records[0].path == 'dns.domains["Example.COM"].records.a'
    assert (org.ttl, org.email_type, org.purge, org.nameservers, org.delegation) == (
        60,
        "FWD",
        False,
        ("127.0.0.1:5353",),
        (),
    )
    assert net.delegation == ("ns1.example.org", "ns2.example.org")


WRONG_RECORDS = [
    ("{name: a, type: WKS, value: x}", "type", "unknown record type 'WKS'"),
    (
        "{name: _sip._tcp, type: SRV, value: 1 2 x.example., priority: 1}",
        "type",
        "SRV records can be neither read nor written",
    ),
    ("{name: a, type: A, value: 192.0.2.256}", "value", "'192.0.2.256' is not an IPv4 address"),
    ("{name: a, type: A, value: '2001:db8::1'}", "value", "is not an IPv4 address"),
    ("{name: a, type: AAAA, value: 192.0.2.1}", "value", "is not an IPv6 address"),
    (
        "{name: '@', type: CNAME, value: x.example.}",
        "name",
        "a CNAME cannot stand at the apex (RFC 1912 2.4); use type ALIAS",
    ),
    ("{name: '@', type: NS, value: ns.example.}", "name", "NS records at the apex cannot be set"),
    ("{name: '@', type: MX, value: .}", "value", "a null MX cannot be set"),
    ("{name: a, type: CNAME, value: target}", "value", "write it in full"),
    ("{name: a, type: MX, value: mail}", "value", "write it in full"),
    ("{name: a, type: CNAME, value: 192.0.2.1}", "value", "needs a host name"),
    ("{name: a, type: URL, value: example.org/x}", "value", "is not a URL with its scheme"),
    ("{name: a, type: CAA, value: letsencrypt.org}", "value", "is not a CAA value"),
    (
        f"{{name: a, type: TXT, value: {'x' * 2501}}}",
        "value",
        "the TXT value is 2501 characters long; Namecheap allows 2500",
    ),
    (f"{{name: a, type: URL, value: 'http://x.example/{'x' * 255}'}}", "value", "Namecheap allows 255"),
    (f"{{name: {'x' * 64}, type: A, value: 192.0.2.1}}", "name", "63 are allowed"),
    (f"{{name: {'x' * 30}.{'y' * 30}, type: A, value: 192.0.2.1}}", "name", "Namecheap allows 60"),
    ("{name: a b, type: A, value: 192.0.2.1}", "name", "is not a valid host name"),
    ("{name: a, type: A, value: 192.0.2.1, ttl: 59}", "ttl", "59 is outside 60..60000"),
    ("{name: a, type: A, value: 192.0.2.1, ttl: 60001}", "ttl", "60001 is outside 60..60000"),
    ("{name: a, type: A, value: 192.0.2.1, ttl: soon}", "ttl", "a whole number is needed, not the text 'soon'"),
    ("{name: a, type: A, value: 192.0.2.1, ttl: 1.5}", "ttl", "a whole number is needed, not the number 1.5"),
    ("{name: a, type: MX, value: m.example., priority: 70000}", "priority", "70000 is outside 0..65535"),
    ("{name: a, type: A, value: true}", "value", "text is needed, not true or false; quote it"),
    ("{name: a, type: A, value: [192.0.2.1]}", "value", "text is needed, not a list"),
    ("{name: a, type: A, values: {a: 1}}", "values", "a list is needed, not a map"),
    ("{name: a, type: A, value: ''}", "value", "the value is empty"),
    ("{name: a, type: A, value: 192.0.2.1, protect: maybe}", "protect", "true or false is needed"),
]


@pytest.mark.parametrize(("record", "key", "part"), WRONG_RECORDS)
def test_each_rule_of_records_is_an_error_at_the_value_to_blame(
    evaluate: Evaluate, record: str, key: str, part: str
) -> None:
    line = f"      a: {record}\n"
    found = said(read(evaluate(dns(line))))
    assert any(part in message for _, _, message in found)
    for where in found:  # a label may be too long for two reasons, at one place
        assert where[:2] == (5, line.index(f"{key}: ") + len(key) + 3)
        assert where[2].startswith(f"dns.records.a.{key}: ")


def test_a_record_without_name_type_or_value_is_an_error(evaluate: Evaluate) -> None:
    found = said(
        read(evaluate(dns("      a: {type: A, value: 192.0.2.1}\n      b: {name: b}\n      c:\n      d: x\n")))
    )
    assert [message for _, _, message in found] == [
        "dns.records.a: a record needs name",
        "dns.records.b: a record needs type",
        "dns.records.b: a record needs value",
        "dns.records.c: a record needs name, type and value",
        "dns.records.d: a map is needed here",
    ]


def test_a_cname_beside_other_data_is_an_error_naming_both(evaluate: Evaluate) -> None:
    text = "      a: {name: x, type: CNAME, value: y.example.}\n      b: {name: X.example.com., type: TXT, value: t}\n"
    (found,) = said(read(evaluate(dns(text))))
    assert "a CNAME at x cannot stand beside other records there (RFC 1034 3.6.2): dns.records.b" in found[2]


def test_two_cnames_at_one_name_are_an_error(evaluate: Evaluate) -> None:
    text = "      a: {name: x, type: CNAME, values: [y.example., z.example.]}\n"
    assert len(said(read(evaluate(dns(text))))) == 1


def test_duplicates_are_an_error_even_when_written_differently(evaluate: Evaluate) -> None:
    text = "      a: {name: m, type: MX, value: M.example, priority: 10}\n      b: {name: m.example.com, type: mx, value: m.example., priority: 20}\n"
    (found,) = said(read(evaluate(dns(text))))
    assert "duplicate record: m MX 'm.example.' stands already at dns.records.a" in found[2]


def test_more_than_150_records_are_an_error_and_150_are_not(evaluate: Evaluate) -> None:
    lines = [f"      r{index}: {{name: r{index}, type: A, value: 192.0.2.1}}\n" for index in range(151)]
    assert said(read(evaluate(dns("".join(lines[:150]))))) == []
    (found,) = said(read(evaluate(dns("".join(lines)))))
    assert "151 records are asked for; Namecheap allows 150" in found[2]


def test_mx_records_with_another_mail_mode_are_warned_of_with_the_remedy(evaluate: Evaluate) -> None:
    """Policy refuses the plan (exit 3, rule mx-mode); the file itself is a valid one."""
    found = read(evaluate(dns("      m: {name: '@', type: MX, value: m.example.}\n", "    email_type: FWD\n")))
    [warning] = found.diagnostics
    assert (warning.severity, "set dns.email_type to MX" in warning.message) == ("warning", True)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("dns: {domain: localhost}", "'localhost' is not a domain name"),
        ("dns: {domain: 'a b.example'}", "is not a domain name"),
        ("dns: {records: {a: {name: a, type: A, value: 192.0.2.1}}}", "records need dns.domain"),
        ("dns: {domain: a.example, domains: {A.example: {}}}", "the domain is given twice"),
        ("dns: {domains: {nodots: {}}}", "'nodots' is not a domain name"),
        ("dns: {domain: a.example, provider: route53}", "'route53' is not one of namecheap, sandbox"),
        ("dns: {domain: a.example, email_type: mx}", 'did you mean "MX"?'),
        ("dns: {domain: a.example, ttl: 5}", "dns.ttl: 5 is outside 60..60000"),
        ("dns: {domain: a.example, nameservers: ['x:99999']}", "outside 1..65535"),
        ("dns: {domain: a.example, nameservers: ['a b']}", "is not HOST or HOST:PORT"),
        ("dns: {domain: a.example, delegation: [ns1.x.example]}", "at least two nameservers"),
        ("dns: {domain: a.example, delegation: [192.0.2.1, ns.x.example]}", "is not the host name of a nameserver"),
        ("dns: {domain: a.example, purge: 1}", "true or false is needed, not the number 1"),
        ("dns: [a]", "dns: a map is needed here"),
        ("namecheap: {endpoint: 'https://evil.example/xml.response'}", "nor on loopback"),
        ("namecheap: {endpoint: 'https://api.namecheap.com@evil.example/'}", "nor on loopback"),
        ("namecheap: {endpoint: 'http://api.namecheap.com/xml.response'}", "nor on loopback"),
        ("namecheap: {client_ip_detection: {fallback: '2001:db8::1'}}", "is not an IPv4 address"),
        ("namecheap: {sandbox: perhaps}", "true or false is needed"),
        ("ssl: {directory: 'http://ca.example/dir'}", "must be https"),
        ("ssl: {domains: {a: 1}}", "a list is needed, not a map"),
        ("ssl: {renew_before_days: 0}", "0 is outside 1..365"),
        ("ssl: {renew_before_days: -3}", "-3 is outside 1..365"),
        ("ssl: {renew_before_days: 366}", "366 is outside 1..365"),
        ("ssl: {renew_before_days: 99999999999999}", "ssl.renew_before_days: a whole number is needed"),
        ("ssl: {renew_before_days: soon}", "ssl.renew_before_days: a whole number is needed"),
        ("ssl: {renew_before_days: --5}", "ssl.renew_before_days: a whole number is needed"),
        ("ssl: {renew_before_days: 1.5}", "ssl.renew_before_days: a whole number is needed"),
        (
            "ssl: {certificates: {x: {domains: [a.example], renew_before_days: 0}}}",
            "ssl.certificates.x.renew_before_days: 0",
        ),
        ("monitoring: {webhook: 'ftp://x.example'}", "is not an http or https URL"),
        ("monitoring: {webhook: 'https://u:p@x.example'}", "must not hold a user name or password"),
        ("monitoring: {ping_endpoints: [x.example]}", "is not an http or https URL"),
        ("security: {secret_rotation_days: 0}", "0 is outside 1..36500"),
        ("ai_infrastructure: {autonomy: full}", "is not one of observe, suggest, autonomous-safe, autonomous"),
        ("ai_infrastructure: {optimization_level: Balanced}", 'did you mean "balanced"?'),
        ("ai_infrastructure: {limits: {max_percent: 101}}", "101 is outside 0..100"),
        ("ai_infrastructure: {limits: {max_deletes: -1}}", "-1 is outside 0..100000"),
        ("ai_infrastructure: {limits: {protected: [A]}}", "is not a pattern such as 'A @'"),
        ("ai_infrastructure: {limits: {window: always}}", "is not a window"),
        ("ai_infrastructure: {limits: {approvals: [anyone]}}", "is not one of terminal, unattended"),
        ("ai_infrastructure: {model: {name: m}}", "a model needs base_url"),
        ("ai_infrastructure: {model: {name: m, base_url: 'http://models.example/v1'}}", "must be https"),
        (
            "ai_infrastructure: {model: {name: m, base_url: 'https://x.example', max_cost_usd: -1}}",
            "an amount is needed",
        ),
        ("services: {api: {min: 3, max: 2}}", "2 is below min, 3"),
        ("services: {api: {unit_cost: much}}", "an amount is needed"),
    ],
)
def test_each_wrong_setting_is_one_error_with_its_place(evaluate: Evaluate, text: str, part: str) -> None:
    (found,) = said(read(evaluate(text)))
    assert part in found[2]
    assert found[0] == 1
    assert found[1] > 1
    with pytest.raises(InvalidEnvironment):
        settings(evaluate(text))


def test_every_section_of_the_contract_is_understood(evaluate: Evaluate) -> None:
    text = """
platform: {name: n, domain: a.example, environment: e}
ip_addresses: {x: 192.0.2.1, whitelisted_ips: [192.0.2.1]}
dns: {provider: sandbox, domain: bücher.example, ttl: 300, email_type: MX, nameservers: [ns.example], delegation: default, purge: false, records: {}}
namecheap: {api_user: u, api_key: k, username: n, sandbox: "true", endpoint: "http://127.0.0.1:8080/xml.response", client_ip_detection: {local_dev: 192.0.2.1}}
ssl: {provider: p, email: e, domains: a.example, directory: "https://localhost:14000/dir", key_type: rsa, profile: p, challenge: dns-01, store: s, deploy_hook: h}
monitoring: {dns_health_check: false, ping_endpoints: ["http://a.example"], alert_email: e, webhook: "https://h.example/x", prometheus: {url: "http://prom:9090"}}
security: {dns_sec: true, api_rate_limiting: false, ip_whitelist_enforcement: true, secret_rotation_days: 30}
pulumi: {work_dir: infra, backend: "file://~", stacks: {prod: {name: org/shop/prod, config: {a: {b: 1}, s: {fn::secret: hush}}}}}
services: {web: {stack: s, config_key: k, min: 1, max: 5, target: "70", metric: cpu, unit_cost: 1.50, aliases: [site]}}
ai_infrastructure:
  enabled: false
  optimization_level: conservative
  learning_mode: true
  auto_scale: true
  cost_optimization: true
  autonomy: autonomous-safe
  limits: {max_changes: 5, max_deletes: 1, max_percent: 10, per_day: 20, environments: [prod], protected: ["A @"], window: "Mon-Fri 09:00-17:00 Europe/Berlin", approvals: [terminal, unattended]}
  model: {base_url: "https://m.example/v1", name: m, api_key: k, timeout_s: 10, max_cost_usd: 0.25}
environmentVariables: {A: 1}
pulumiConfig: {a: 1}
files: {F: x}
mine: {anything: [at, all]}
"""
    found = read(evaluate(text))
    assert found.diagnostics == ()
    result = found.settings
    assert result.provider == "sandbox"
    assert result.zones[0].name == "xn--bcher-kva.example"
    assert result.namecheap.sandbox is True
    assert result.ssl.domains == ("a.example",)
    assert result.services[0].unit_cost == Decimal("1.50")
    assert result.intelligence.limits == Limits(
        5, 1, 10, 20, ("prod",), ("A @",), "Mon-Fri 09:00-17:00 Europe/Berlin", ("terminal", "unattended")
    )
    assert result.intelligence.model is not None
    assert result.intelligence.model.max_cost_usd == Decimal("0.25")
    assert result.pulumi.stacks[0].config["a"] == {"b": 1}
    assert "hush" not in repr(result)
    assert result.writable is not None
    checked = read(evaluate(text), checking=True)
    assert {one.path.removeprefix("values.") for one in checked.diagnostics} <= set(WITHOUT_EFFECT)
    assert checked.diagnostics


def test_an_empty_environment_has_the_defaults(evaluate: Evaluate) -> None:
    found = settings(evaluate("values: {}"))
    assert found.zones == ()
    assert found.intelligence.limits == Limits()
    assert found.intelligence.model is None


def test_null_counts_as_not_given(evaluate: Evaluate) -> None:
    assert settings(evaluate("dns: {domain: a.example, ttl: null, email_type: ~, records:}")).zones[0].ttl is None


@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        ("dns: {domian: a.example}", "dns.domian", "domain"),
        ("dnss: {}", "dnss", "dns"),
        ("ai_infrastructure: {autonomi: x}", "ai_infrastructure.autonomi", "autonomy"),
        (
            "dns: {domain: a.example, records: {r: {name: a, type: A, value: 192.0.2.1, prioritty: 1}}}",
            "dns.records.r.prioritty",
            "priority",
        ),
    ],
)
def test_unknown_keys_that_look_like_known_ones_are_warned_about(
    evaluate: Evaluate, text: str, path: str, meant: str
) -> None:
    found = said(read(evaluate(text)), "warning")
    assert [message for _, _, message in found] == [f'{path}: unknown key; did you mean "{meant}"?']


# -- secrets and unknowns ------------------------------------------------------------------------------------------------


def test_each_field_of_a_record_carries_its_own_secret_flag(evaluate: Evaluate) -> None:
    text = "      t: {name: {fn::secret: n}, type: TXT, values: [open, {fn::secret: hush}], ttl: 60}\n"
    assert [one.secret for one in zone(evaluate(dns(text))).records] == [
        frozenset({"name"}),
        frozenset({"name", "value"}),
    ]


@pytest.mark.parametrize(
    "record",
    [
        "{name: a, type: A, value: '${MY_X}'}",
        "{name: a, type: CNAME, value: '${MY_X}'}",
        "{name: a, type: MX, value: '${MY_X}'}",
        "{name: a, type: URL, value: '${MY_X}'}",
        "{name: a, type: CAA, value: '${MY_X}'}",
        "{name: '${MY_X}', type: A, value: 192.0.2.1}",
        "{name: a, type: '${MY_X}', value: 192.0.2.1}",
        "{name: a, type: A, value: 192.0.2.1, ttl: '${MY_X}'}",
        "{name: a, type: A, value: 192.0.2.1, priority: '${MY_X}'}",
        "{name: a, type: A, value: 192.0.2.1, protect: '${MY_X}'}",
    ],
)
@pytest.mark.parametrize("secret", ["hu$$sh hush", "hush-hush-hush", "99999123", "hush" * 30, "Hush\u00fc.Hush hush"])
def test_no_message_about_a_record_shows_a_secret(evaluate: Evaluate, record: str, secret: str) -> None:
    found = read(evaluate(dns(f"      a: {record}\n"), variables={"MY_X": secret}))
    text = " ".join(one.message for one in found.diagnostics).lower()
    assert "hush" not in text
    assert "99999123" not in text


@pytest.mark.parametrize(
    "text",
    [
        "dns: {domain: '${MY_X}'}",
        "dns: {domain: a.example, provider: '${MY_X}', email_type: '${MY_X}', nameservers: ['${MY_X}'], delegation: ['${MY_X}', a.b]}",
        "namecheap: {endpoint: '${MY_X}', sandbox: '${MY_X}', client_ip_detection: {fallback: '${MY_X}'}}",
        "monitoring: {webhook: '${MY_X}', ping_endpoints: ['${MY_X}'], prometheus: {url: '${MY_X}'}}",
        "ssl: {directory: '${MY_X}'}",
        "security: {secret_rotation_days: '${MY_X}'}",
        "ai_infrastructure: {autonomy: '${MY_X}', limits: {window: '${MY_X}', protected: ['${MY_X}'], approvals: ['${MY_X}'], max_changes: '${MY_X}'}}",
        "ai_infrastructure: {model: {base_url: '${MY_X}', name: m, max_cost_usd: '${MY_X}'}}",
    ],
)
def test_no_message_about_a_setting_shows_a_secret(evaluate: Evaluate, text: str) -> None:
    found = read(evaluate(text, variables={"MY_X": "hush hush"}))
    assert found.has_errors
    assert "hush" not in " ".join(one.message for one in found.diagnostics)


def test_an_unknown_value_marks_the_whole_zone_and_is_never_an_absence(evaluate: Evaluate) -> None:
    text = (
        dns("      a: {name: a, type: A, value: '${p.ip}'}\n      b: {name: b, type: A, value: 192.0.2.1}\n")
        + "  p: {fn::open::vault: {}}\n"
    )
    found = zone(evaluate(text))
    assert found.unknown == ("dns.records.a.value",)
    assert [one.record.name for one in found.records] == ["b"]


@pytest.mark.parametrize("key", ["ttl", "email_type", "delegation", "purge", "nameservers", "records"])
def test_an_unknown_option_marks_the_zone_too(evaluate: Evaluate, key: str) -> None:
    found = evaluate(f"dns: {{domain: a.example, {key}: '${{p.x}}'}}\np: {{fn::open::vault: {{}}}}")
    assert zone(found).unknown == (f"dns.{key}",)
    several = evaluate(
        f"dns: {{{key}: '${{p.x}}', domains: {{a.example: {{}}, b.example: {{}}}}}}\np: {{fn::open::vault: {{}}}}"
    )
    if key != "records":
        assert [one.unknown for one in settings(several).zones] == [(f"dns.{key}",)] * 2


@pytest.mark.parametrize("text", ["dns: '${p.x}'", "dns: {domain: '${p.x}'}", "dns: {domains: '${p.x}'}"])
def test_an_unknown_domain_stops_everything_with_exit_1(evaluate: Evaluate, text: str) -> None:
    with pytest.raises(UnknownValue) as caught:
        settings(evaluate(f"{text}\np: {{fn::open::vault: {{}}}}"))
    assert caught.value.exit_code == 1
    assert "dns" in caught.value.message


def test_errors_of_evaluation_and_of_settings_are_reported_together(evaluate: Evaluate) -> None:
    found = said(read(evaluate("values:\n  a: ${lost.x}\n  dns: {domain: a.example, ttl: 1}\n")))
    assert [line for line, _, _ in found] == [2, 3]
