"""Threat detection over the log and a stack's history: what cannot be read is not tested, and nothing is written."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from sophia_cli.core.stacks import Update
from sophia_cli.flows.events import Stream
from sophia_cli.flows.threats import look
from sophia_cli.store.local import local_store
from tests.builders import NOW
from tests.memory import MemoryClock
from tests.memory_stack import MemoryStack

WHO = {"git.author.email": "bob@acme.example"}


def test_a_stacks_update_that_the_log_does_not_know_is_found_by_looking_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = MemoryClock()
        store = local_store(tmp_path / "state", clock)
        stream = Stream("anna@desk", clock, (store.audit.append,), run="r", plan="p")
        stack = MemoryStack(clock)
        await stream.say("apply.begin")
        await stream.say("apply.write", target=stack.id)
        await stream.say("apply.end", outcome="applied")
        ours = Update(1, "update", "succeeded", NOW, None, "sophia deploy", environment=WHO)
        theirs = Update(2, "update", "succeeded", NOW + timedelta(hours=2), None, "by hand", environment=WHO)
        stack.updates = (theirs, ours)
        before = await store.audit.events()
        log, found = await look(store, stacks=(stack,))
        (one,) = [one for one in found if one.id == "THREAT-BEHIND"]
        assert one.evidence["provider_events"] == ["pulumi:organization/shop/prod#2"]
        assert [(source.reason, source.own) for source in log.sources] == [(None, 1)]
        assert await store.audit.events() == before
        assert stack.log == ["history"]

    asyncio.run(scene())


def test_a_history_that_cannot_be_read_is_not_tested_and_the_rest_is_judged(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = MemoryClock()
        store = local_store(tmp_path / "state", clock)
        await Stream("anna@desk", clock, (store.audit.append,), run="r").say("apply.begin")
        log, found = await look(store, stacks=(MemoryStack(clock, refuses=True),))
        assert [(one.name, one.reason) for one in log.sources] == [
            ("pulumi:organization/shop/prod", "the program failed")
        ]
        assert [one.id for one in found] == ["THREAT-UNAPPROVED"]

    asyncio.run(scene())
