"""Analyses as text, Markdown, SARIF and HTML: complete, and harmless whatever stands in a zone."""

from __future__ import annotations

import html as stdlib
import json
import re
import unicodedata
from html.parser import HTMLParser

import pytest

from sophia_cli.checks.facts import Background
from sophia_cli.core.dns import Record
from sophia_cli.flows.analyze import Analysis, examined
from sophia_cli.output.analysis import WIDTH, code, markdown, render
from sophia_cli.output.html import html
from sophia_cli.output.sarif import sarif
from tests.checks.check_cases import MAIL, a, cname, facts, mx, row, txt

HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07 \x9b31m \u202eesrever\u2066\u200b\u200d\ufeff\u2028\U000e0041 "
    "<script>alert(1)</script> \"onload='x' | `code` ``two`` [link](http://evil.example) ![i](x) @user #1 &amp; \r\n## head\n"
)
NAME = "\x1b[2j<img src=x onerror=alert(1)>`|\u202e"


def hostile() -> Analysis:
    rows = [
        txt(HOSTILE, "x"), cname("x", "b.net."), Record(NAME, "CNAME", "a.net.", 60), Record(NAME, "TXT", HOSTILE, 60),
        txt("v=spf1 " + HOSTILE), txt("v=DMARC1; p=" + HOSTILE, "_dmarc"), mx("mx_`<b>\u202e.acme.example."),
        row("@", "CAA", f'0 issue "{HOSTILE}"'), Record("x", "MX", NAME + ".", 60, 5),
    ]  # fmt: skip
    return examined(
        [facts(*rows, background=Background("zone-file", file="a <b>\x1b[1m.zone", lines={rows[0].key: (3,)}))]
    )


def plain() -> Analysis:
    return examined([facts(a(ttl=60), *MAIL, txt("v=spf1 +all"))])


def is_harmless(text: str) -> bool:
    return all(
        character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for character in text
    )


def test_hostile_text_is_shown_and_not_obeyed_by_a_terminal() -> None:
    text = render(hostile(), colour=False)
    assert is_harmless(text)
    assert "\\x1b[2j" in text
    assert "\\u202e" in text
    assert "\n## head" not in text


def test_colour_is_only_there_when_asked_for() -> None:
    painted = render(plain(), colour=True)
    assert re.findall(r"\x1b\[[0-9;]*m", painted)
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == render(plain(), colour=False)


def test_hostile_text_is_harmless_in_markdown() -> None:
    text = markdown(hostile())
    assert is_harmless(text)
    outside = re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", text)
    assert not re.search(r"<(?!/?(?:details|summary)>)", outside)
    assert "](http" not in outside
    assert not re.search(r"(?<!\\)[|\[\]]", outside)
    assert "@user" not in outside
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        f"## sophia analyze: health {hostile().score}/100",
        f"### `dns:acme.example`: {hostile().score}/100",
    ]


@pytest.mark.parametrize("text", ["a", "`", "``", "a`b", "`a", "a``b```c", "<x>", "a|b"])
def test_a_code_span_cannot_be_left(text: str) -> None:
    span = code(text)
    fence = re.match(r"`+", span)
    assert fence is not None
    inner = span[len(fence.group()) : -len(fence.group())]
    assert fence.group() not in inner
    assert inner.strip(" ") == text


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_text_is_harmless_in_html() -> None:
    text = html(hostile())
    assert is_harmless(text)
    page = Page()
    page.feed(text)
    assert {tag for tag, _ in page.tags} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "ul", "li", "code", "article", "svg", "rect",
        "g", "text",
    }  # fmt: skip
    names = {name for _, attrs in page.tags for name in attrs}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href")}
    assert "<script>alert(1)</script>" in page.text
    assert "http-equiv" in names


def test_html_is_one_file_that_loads_nothing() -> None:
    text = html(plain())
    assert "default-src 'none'" in stdlib.unescape(text)
    assert not re.search(r"<(script|link|iframe|img)|@import|url\(", text)
    assert text.startswith("<!doctype html>")
    assert f"Health {plain().score}/100" in text
    for finding in plain().findings:
        assert finding.id in text
    assert 'aria-label="1 critical,' in text


def test_text_says_everything_in_eighty_columns() -> None:
    text = render(plain(), colour=False)
    assert max(map(len, text.splitlines())) <= WIDTH
    for finding in plain().findings:
        assert finding.id in text
    assert "critical  MAIL-SPF-ALL  the SPF record of @ lets anybody send" in text
    assert "@ TXT v=spf1 +all (TTL 3600)" in text
    assert "fix: update TXT @ (critical risk); sophia analyze --fix" in text
    assert f"not tested ({len(plain().not_tested)}; never counted as passed):" in text
    assert text.splitlines()[-1].startswith(f"health {plain().score}/100: 1 critical, ")
    order = [finding.id for finding in plain().findings]
    assert sorted(order, key=text.index) == order


def test_text_without_findings_does_not_claim_health_of_the_untested() -> None:
    analysis = examined([facts(a(), txt("x"))], agents=["ssl"])
    text = render(analysis, colour=False)
    assert "nothing found by the checks that could run" in text
    assert "TLS-EXPIRY" in text
    assert text.endswith("health 100/100: no findings\n")


def test_sarif_has_the_shape_that_code_scanning_reads() -> None:
    analysis = hostile()
    text = sarif(analysis, version="0.1.0")
    assert is_harmless(text)
    log = json.loads(text)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({finding.id for finding in analysis.findings})
    assert len(run["results"]) == len(analysis.findings)
    for result, finding in zip(run["results"], analysis.findings, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.id
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        assert re.fullmatch(r"[0-9a-f]{64}", result["partialFingerprints"]["sophiaFinding/v1"])
        for location in result["locations"]:
            assert location["logicalLocations"][0]["fullyQualifiedName"] == "dns:acme.example"
            physical = location.get("physicalLocation")
            if physical is not None:
                assert physical["region"]["startLine"] >= 1
                assert re.fullmatch(r"[A-Za-z0-9%./_-]+", physical["artifactLocation"]["uri"])
    assert any("physicalLocation" in result["locations"][0] for result in run["results"])
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert len(notes) == len(analysis.not_tested)


def test_sarif_points_at_the_given_file_where_no_line_is_known() -> None:
    log = json.loads(sarif(plain(), version="0.1.0", file="env/acme.yaml"))
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"env/acme.yaml"}
    assert {place["region"]["startLine"] for place in places} == {1}


def test_a_fingerprint_survives_a_change_of_values_and_not_of_names() -> None:
    def prints(*rows: Record) -> dict[str, str]:
        log = json.loads(sarif(examined([facts(*rows)]), version="0"))
        return {one["ruleId"]: one["partialFingerprints"]["sophiaFinding/v1"] for one in log["runs"][0]["results"]}

    one, two, three = prints(a("x", ttl=60)), prints(a("x", "1.1.1.1", 61)), prints(a("y", ttl=60))
    assert one["PERF-TTL-LOW"] == two["PERF-TTL-LOW"] != three["PERF-TTL-LOW"]
