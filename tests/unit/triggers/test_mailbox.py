"""The triggers: what they fire, what they remember, and how Airflow's own manager shares their poll."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_osmosdest.core.mailbox.cursor import Cursor, Position
from airflow_provider_osmosdest.hooks.mailbox import MailboxHook
from airflow_provider_osmosdest.triggers.mailbox import MailboxEventTrigger, MailboxTrigger
from airflow_provider_osmosdest.triggers.polling import Poll
from tests.airflow_fixtures import WARNINGS_OF_AIRFLOW

pytestmark = WARNINGS_OF_AIRFLOW

INTERVAL = 0.02


@pytest.fixture
def hook(set_connection, tmp_path, osmos_home):
    set_connection("orders", conn_type="osmos_mailbox", extra={"path": str(tmp_path / "mailbox")})
    return MailboxHook("orders")


class StateStore:
    """What Airflow gives a watcher of one asset to keep things in."""

    def __init__(self, **kept):
        self.kept = kept
        self.fails = False

    async def aget(self, key, default=None):
        if self.fails:
            raise RuntimeError("the API server is away")
        return self.kept.get(key, default)

    async def aset(self, key, value):
        if self.fails:
            raise RuntimeError("the API server is away")
        self.kept[key] = value


KEY = "osmosdest.mailbox.orders"


@pytest.fixture
def shared_stream():
    """Airflow's module for polls that are shared, which came with 3.3."""
    return pytest.importorskip("airflow.triggers.shared_stream")


async def take(count, events):
    """Return the first so many payloads."""
    found = []
    async for event in events:
        found.append(event.payload)
        if len(found) == count:
            break
    await events.aclose()
    return found


def within(seconds, coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, seconds))


class TestWireForm:
    @pytest.mark.parametrize(
        ("trigger", "name", "arguments"),
        [
            (
                MailboxTrigger("orders", "billing", 5, 1.5),
                "MailboxTrigger",
                {"mailbox_conn_id": "orders", "consumer": "billing", "min_records": 5, "poll_interval": 1.5},
            ),
            (
                MailboxTrigger("orders", "billing"),
                "MailboxTrigger",
                {"mailbox_conn_id": "orders", "consumer": "billing", "min_records": 1, "poll_interval": 2.0},
            ),
            (
                MailboxEventTrigger("orders", "billing", 1.5),
                "MailboxEventTrigger",
                {"mailbox_conn_id": "orders", "consumer": "billing", "poll_interval": 1.5},
            ),
            (
                MailboxEventTrigger("orders"),
                "MailboxEventTrigger",
                {"mailbox_conn_id": "orders", "consumer": None, "poll_interval": 1.0},
            ),
        ],
    )
    def test_is_pinned(self, trigger, name, arguments):
        path, kwargs = trigger.serialize()
        assert (path, kwargs) == (f"airflow_provider_osmosdest.triggers.mailbox.{name}", arguments)
        assert type(trigger)(**kwargs).serialize() == trigger.serialize()


class TestMailboxTrigger:
    def test_fires_once_there_is_enough(self, hook):
        async def run():
            events = MailboxTrigger("orders", "billing", 3, INTERVAL).run()
            waiting = asyncio.ensure_future(anext(events))
            for count in (1, 1, 1):
                await asyncio.sleep(3 * INTERVAL)
                assert not waiting.done()
                await asyncio.to_thread(hook.publish, [{"id": 1}] * count)
            event = await waiting
            with pytest.raises(StopAsyncIteration):
                await anext(events)
            return event.payload

        assert within(10, run()) == {"mailbox": "orders", "consumer": "billing", "records": 3}


class TestEventTrigger:
    def test_fires_for_what_comes_and_says_where_the_log_ended(self, hook):
        async def run():
            events = MailboxEventTrigger("orders", poll_interval=INTERVAL).run()
            found = []
            for _ in range(2):
                await asyncio.to_thread(hook.publish, [{"id": 1}])
                found.append((await anext(events)).payload)
            await events.aclose()
            return found

        mailbox = hook.mailbox()
        assert within(10, run()) == [
            {
                "mailbox": "orders",
                "cursor": mailbox.cursor_text(Position(seq + 1)),
                "published_at": mailbox.log.entry(seq).published_at,
            }
            for seq in (1, 2)
        ]

    def test_fires_once_for_many(self, hook):
        for _ in range(5):
            hook.publish([{"id": 1}])
        (event,) = within(10, take(1, MailboxEventTrigger("orders", poll_interval=INTERVAL).run()))
        assert event["cursor"] == hook.mailbox().cursor_text(Position(6))

    @pytest.mark.parametrize(
        ("consumer", "committed", "kept", "fires"),
        [
            (None, None, None, True),
            (None, None, 2, True),
            (None, None, 3, False),
            ("billing", None, None, True),
            ("billing", Position(3, 1), None, True),
            ("billing", Position(4), None, False),
            ("billing", Position(2), 3, False),
            ("billing", Position(4), 1, False),
            # The log was begun anew, and what was kept speaks of another.
            (None, None, 50, True),
        ],
    )
    def test_begins_where_it_had_got_to(self, hook, consumer, committed, kept, fires):
        for _ in range(3):
            hook.publish([{"id": 1}, {"id": 2}])
        if committed:
            hook.mailbox().consumers.commit("billing", Cursor(committed))
        newest = hook.mailbox().log.tail()
        trigger = MailboxEventTrigger("orders", consumer, INTERVAL)
        trigger.asset_state_store = StateStore(**({} if kept is None else {KEY: kept}))

        async def polls():
            yield Poll(newest)

        async def run():
            return [event async for event in trigger.filter_shared_stream(polls())]

        assert len(within(10, run())) == fires

    def test_asks_the_state_store_before_the_first_poll_and_once(self, hook):
        hook.publish([{"id": 1}])
        newest = hook.mailbox().log.tail()
        trigger = MailboxEventTrigger("orders", None, INTERVAL)
        done = []

        class Noting(StateStore):
            async def aget(self, key, default=None):
                done.append("asked")
                return await super().aget(key, default)

        trigger.asset_state_store = Noting()

        async def polls():
            for poll in (Poll(None), Poll(newest), Poll(newest)):
                done.append("polled")
                yield poll

        async def run():
            return [event async for event in trigger.filter_shared_stream(polls())]

        assert len(within(10, run())) == 1
        assert done == ["asked", "polled", "polled", "polled"]

    @pytest.mark.parametrize(("kept", "after"), [(0, 0), (2, 2)])
    def test_says_when_it_watches(self, hook, capfd, caplog, kept, after):
        hook.publish([{"id": 1}])
        trigger = MailboxEventTrigger("orders", "billing", INTERVAL)
        trigger.asset_state_store = StateStore(**{KEY: kept})

        async def polls():
            yield Poll(None)

        async def run():
            return [event async for event in trigger.filter_shared_stream(polls())]

        with caplog.at_level("INFO"):
            assert within(10, run()) == []
        said = "".join(capfd.readouterr()) + caplog.text
        assert said.count(f"Watching mailbox 'orders': it fires for batches after {after}.") == 1

    def test_waits_until_it_knows_where_it_had_got_to(self, hook, capfd, caplog):
        hook.publish([{"id": 1}])
        newest = hook.mailbox().log.tail()
        trigger = MailboxEventTrigger("orders", None, INTERVAL)
        trigger.asset_state_store = store = StateStore(**{KEY: 1})
        store.fails = True

        async def polls():
            yield Poll(None)
            yield Poll(newest)
            store.fails = False
            yield Poll(newest)

        async def run():
            return [event async for event in trigger.filter_shared_stream(polls())]

        assert within(10, run()) == []
        assert "the API server is away" in "".join(capfd.readouterr()) + caplog.text

    def test_one_watcher_of_several_assets_has_nothing_to_remember_by(self, hook):
        class Several(StateStore):
            async def aget(self, key, default=None):
                raise ValueError("Task has 2 concrete inlets and outlets")

        hook.publish([{"id": 1}])
        trigger = MailboxEventTrigger("orders", None, INTERVAL)
        trigger.asset_state_store = Several()
        assert len(within(10, take(1, trigger.run()))) == 1

    def test_what_cannot_be_kept_is_no_error(self, capfd, caplog):
        trigger = MailboxEventTrigger("orders")
        asyncio.run(trigger.remember(3))
        trigger.asset_state_store = store = StateStore()
        asyncio.run(trigger.remember(3))
        store.fails = True
        asyncio.run(trigger.remember(4))
        assert store.kept == {KEY: 3}
        assert "is not kept: the API server is away" in "".join(capfd.readouterr()) + caplog.text


class TestSharing:
    def test_who_shares(self):
        key = MailboxEventTrigger("orders", "billing").shared_stream_key()
        assert key == MailboxEventTrigger("orders", "shipping").shared_stream_key()
        assert key != MailboxEventTrigger("returns", "billing").shared_stream_key()
        assert key != MailboxEventTrigger("orders", "billing", 9).shared_stream_key()

    def test_two_watchers_one_poll_and_what_each_remembers(self, hook, monkeypatch, shared_stream):
        opened = []
        mailbox = MailboxHook.mailbox

        def counting(self):
            opened.append(self.mailbox_conn_id)
            return mailbox(self)

        monkeypatch.setattr(MailboxHook, "mailbox", counting)

        async def run():
            manager = shared_stream.SharedStreamManager()
            triggers = {number: MailboxEventTrigger("orders", poll_interval=INTERVAL) for number in (1, 2)}
            for number, trigger in triggers.items():
                # The first has fired for the first batch already, before the triggerer was restarted.
                trigger.asset_state_store = StateStore(**({KEY: 1} if number == 1 else {}))
            key = triggers[1].shared_stream_key()
            fired = {1: [], 2: []}
            held = []

            async def drive(number):
                """Do what the triggerer's run_trigger does."""
                stream = manager.subscribe(trigger_id=number, trigger=triggers[number], key=key)
                async for event in triggers[number].filter_shared_stream(stream):
                    seq = manager.bind_pending_event(trigger_id=number, key=key)
                    assert seq is not None
                    held.append(seq)
                    fired[number].append(event.payload["cursor"])

            await asyncio.to_thread(hook.publish, [{"id": 1}])
            tasks = [asyncio.create_task(drive(number)) for number in triggers]
            ends = [hook.mailbox().cursor_text(Position(seq)) for seq in (2, 3)]
            await until(lambda: fired == {1: [], 2: ends[:1]})
            # Airflow has not stored it yet: were the triggerer to end now, it would have to fire again.
            await asyncio.sleep(3 * INTERVAL)
            assert triggers[2].asset_state_store.kept == {}
            await asyncio.to_thread(hook.publish, [{"id": 2}])
            await until(lambda: fired == {1: ends[1:], 2: ends})
            manager.confirm_persisted(held)
            await until(lambda: all(trigger.asset_state_store.kept == {KEY: 2} for trigger in triggers.values()))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await manager.stop_all()

        within(20, run())
        # Once for the poll; the other is this test's own hook.
        assert opened.count("orders") <= 6

    def test_only_what_all_watchers_have_handed_on_is_remembered(self, shared_stream):
        from airflow_provider_osmosdest.triggers.shared import SharedPoll

        trigger = MailboxEventTrigger("orders")
        trigger.asset_state_store = store = StateStore()

        class Newest:
            seq = 7

        async def none():
            return
            yield

        async def run(outcome):
            await SharedPoll(none()).advance([shared_stream.AdvanceItem(Poll(Newest(), [trigger]), outcome)])

        asyncio.run(run(shared_stream.AdvanceOutcome(acked=0, failed=1)))
        assert store.kept == {}
        asyncio.run(run(shared_stream.AdvanceOutcome(acked=1, failed=0)))
        assert store.kept == {KEY: 7}


async def until(done):
    while not done():  # noqa: ASYNC110 - a test that watches from outside
        await asyncio.sleep(INTERVAL)
