"""Conversations: what a chat carries from one sentence to the next. Plans, applies and prints nothing by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sophia_cli.core.changes import Change, ConfigValue, EmailMode
from sophia_cli.core.dns import Record
from sophia_cli.flows.reply import ENGINE, Reply
from sophia_cli.reasoning.intents import CreateRecord, Intent, RemoveRecord, SetRecord
from sophia_cli.reasoning.reading import Understood

_EDITS = (CreateRecord, SetRecord, RemoveRecord)
_MORE = frozenset({"too", "also", "plus"})
_WHY = re.compile(
    r"(but )?(why|how come)( (this|that|so|these changes|this change|this plan|that plan))?", re.IGNORECASE
)
_DROP = re.compile(
    r"(no,? ?)?(please )?(undo (that|it|this)|never ?mind( that)?|forget (that|it|about it)|scrap (that|it)|"
    r"drop (that|it|the plan)|cancel( that| it)?|don'?t( do (that|it))?)( please)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was last understood, the plan on the table, and what was last asked back."""

    previous: tuple[Intent, ...] = ()
    pending: Reply | None = None
    """The last reply with a plan that changes something and that nobody applied yet."""
    choices: tuple[Intent, ...] = ()
    """The readings that were last offered to choose from."""

    def heard(self, reply: Reply) -> Conversation:
        """The conversation after a reply. A reply without a plan leaves the one on the table there."""
        has_plan = reply.judged is not None and not reply.judged.plan.is_empty()
        return Conversation(reply.intents or self.previous, reply if has_plan else self.pending, reply.choices)

    def together(self, text: str, reply: Reply) -> Reply | None:
        """The reply to `and staging too` as one with the plan on the table: the edits of both, to be planned as one.

        `instead` takes the place of the last edit there. None where the sentence stands by itself.
        """
        before = self.pending
        words = frozenset(re.findall(r"\w+", text.lower()))
        adds = bool(words & _MORE) or text.lower().startswith("and ")
        if (
            before is None
            or before.engine != ENGINE
            or reply.engine != ENGINE
            or not reply.intents
            or reply.judged is None
        ):
            return None
        if not all(isinstance(intent, _EDITS) for intent in (*before.intents, *reply.intents)):
            return None
        if not adds and not ("instead" in words and len(before.intents) > 1):
            return None
        places = {_place(intent) for intent in reply.intents}
        kept = before.intents if adds else before.intents[:-1]
        both = (*(intent for intent in kept if _place(intent) not in places), *reply.intents)
        reading = Understood(both, 1.0).render()
        return Reply(f"{before.text}; {text}", reading, both, " && ".join(intent.command() for intent in both))

    def applied(self) -> Conversation:
        """The conversation after the plan on the table was applied."""
        return replace(self, pending=None, choices=())

    def chosen(self, text: str) -> Intent | None:
        """The reading that a number picks from those offered, if it does."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0
        return self.choices[number - 1] if 0 < number <= len(self.choices) else None

    def about_plan(self, text: str) -> tuple[Conversation, str] | None:
        """The answer to `why?` or `undo that` about the plan on the table; None for any other sentence.

        `undo that` takes the plan off the table: nothing was applied, so no run must be rolled back for it.
        """
        if self.pending is None:
            return None
        plain = text.strip().rstrip("?!. ")
        if _WHY.fullmatch(plain):
            return self, why(self.pending)
        if _DROP.fullmatch(plain):
            return replace(self, pending=None, choices=()), "The plan is dropped; nothing was changed by it."
        return None


def _place(intent: Intent) -> tuple[object, ...]:
    return tuple(getattr(intent, name, None) for name in ("domain", "record", "type"))


def why(reply: Reply) -> str:
    """Why a plan holds what it holds, and why policy says what it says, each with the id it rests on."""
    assert reply.judged is not None
    plan, verdict = reply.judged.plan, reply.judged.verdict
    lines = [f"You said: {reply.text}", *reply.reading.splitlines()]
    for change in plan.changes:
        lines.append(f"{change.id} {change.action} {_named(change)}: {change.reason or 'as the environment says'}")
        lines.append(
            f"    source {change.source}, {change.risk} risk, {'can' if change.reversible else 'cannot'} be undone"
        )
    lines += [f"Policy ({reason.rule}): {reason.message}" for reason in verdict.reasons]
    lines += [f"{one.id} ({one.source}): {one.reason}; confidence {one.confidence}" for one in plan.proposals]
    return "\n".join(lines)


def _named(change: Change) -> str:
    payload = change.after if change.after is not None else change.before
    if isinstance(payload, Record):
        return f"{payload.type} {payload.name}"
    if isinstance(payload, ConfigValue):
        return payload.path
    return "the mail mode" if isinstance(payload, EmailMode) else change.kind
