"""All cases of all checks, one file a topic."""

from __future__ import annotations

from tests.checks import check_cases, live_cases, tls_cases, web_cases

CASES = [*check_cases.CASES, *live_cases.CASES, *web_cases.WEB_CASES, *tls_cases.TLS_CASES]
