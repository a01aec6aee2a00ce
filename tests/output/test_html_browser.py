"""The HTML report in a real browser: it opens without an error on the console, runs no script and asks nobody."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sophia_cli.output.html import html
from tests.output.test_analysis_forms import hostile, plain

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=2000", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


def opened(page: str, folder: Path) -> tuple[str, list[str], list[str]]:
    """The page after it was opened: its document, what stood on the console, and what it asked the server for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = page.encode() if self.path == "/" else b""
            self.send_response(200 if self.path in ("/", "/favicon.ico") else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        done = subprocess.run(
            [str(BROWSER), *FLAGS, f"--user-data-dir={folder}", "--dump-dom", url],
            capture_output=True, text=True, timeout=60, check=False, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console, [path for path in asked if path not in ("/", "/favicon.ico")]


@needs_browser
def test_a_report_opens_without_a_console_error_and_draws_its_charts(tmp_path: Path) -> None:
    document, console, asked = opened(html(plain()), tmp_path)
    assert console == []
    assert asked == []
    assert f"Health {plain().score}/100" in document
    assert document.count("<svg") == 2


@needs_browser
def test_a_hostile_zone_runs_nothing_in_a_browser(tmp_path: Path) -> None:
    document, console, asked = opened(html(hostile()), tmp_path)
    assert (console, asked) == ([], [])
    assert not re.search(r"<(script|img|iframe|link)\b", document)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in document


@needs_browser
def test_the_browser_would_have_told(tmp_path: Path) -> None:
    """The guard itself: a page that runs a script against its own policy shows on the console."""
    bad = html(plain()).replace("</body>", "<script>alert(1)</script><img src='/there.png'></body>")
    _, console, asked = opened(bad, tmp_path)
    assert any("Content Security Policy" in line for line in console)
    assert asked == []


class _Charts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.labels: list[str] = []
        self.widths: list[float] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "svg":
            self.labels.append(known.get("aria-label") or "")
        if tag == "rect" and known.get("height") == "16" and known.get("fill-opacity") is None:
            self.widths.append(float(known["width"] or 0))


def test_each_part_of_the_score_has_a_bar_as_long_as_its_score() -> None:
    analysis = plain()
    charts = _Charts()
    charts.feed(html(analysis))
    assert len(charts.labels) == 2
    for part in analysis.parts:
        shown = "not tested" if part.score is None else str(part.score)
        assert f"{part.name} {shown}" in charts.labels[1]
    assert charts.widths == [pytest.approx(2.4 * (part.score or 0)) for part in analysis.parts]
