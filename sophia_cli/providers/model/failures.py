"""What failed, in our words: errors of the openai package as reasons. Repeats nothing that a host wrote."""

from __future__ import annotations

import httpx2
import openai

from sophia_cli.providers.model.transport import Withheld

# The package's own errors, those of the connection below it, and what its parsing lets through.
FAILURES = (
    openai.OpenAIError,
    *(httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError),
    *(Withheld, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError),
)
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
_SAID = {
    400: "the host does not take the request (400)",
    401: "the host does not accept the key (401)",
    403: "the host does not allow it (403)",
    404: "the host knows no such model or address (404)",
    413: "the request is too long for the host (413)",
    422: "the host does not take the request (422)",
    429: "the host is asked too often (429)",
}


def reason(error: Exception) -> str:
    """Why there is no answer."""
    withheld = _cause(error)
    if withheld is not None:
        return str(withheld)
    if isinstance(error, (openai.APITimeoutError, httpx2.TimeoutException)):
        return "the host did not answer in time"
    if isinstance(error, (openai.APIConnectionError, httpx2.TransportError)):
        return "the host cannot be reached, or broke off"
    if isinstance(error, openai.APIStatusError):
        code = error.status_code
        return _SAID.get(code, f"the host failed ({code})" if code >= 500 else f"the host refused ({code})")
    return f"the answer cannot be read ({type(error).__name__})"


def may_retry(error: Exception) -> bool:
    """Whether the same request may be sent again."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in RETRIED
    return isinstance(error, (openai.APIConnectionError, httpx2.TransportError)) and _cause(error) is None


def refuses_form(error: Exception) -> bool:
    """Whether a host refuses the form that the answer was asked in: a 400 or 422 that names `response_format`."""
    if not isinstance(error, openai.APIStatusError) or error.status_code not in (400, 422):
        return False
    text = error.response.text[:4000].lower()
    return any(word in text for word in ("response_format", "json_schema", "json_object", "guided"))


def retry_after(error: Exception) -> float | None:
    """The seconds a host asks to wait; None when it says nothing that is a number."""
    if not isinstance(error, openai.APIStatusError):
        return None
    text = error.response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _cause(error: BaseException) -> Withheld | None:
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None or isinstance(seen, Withheld):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
