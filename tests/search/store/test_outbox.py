"""What waits for the store: nobody waits for it but who closes, and he not for nothing."""

import threading
import time
from types import SimpleNamespace

import pytest

from search.store import outbox
from search.store.outbox import Outbox


@pytest.fixture
def store(monkeypatch):
    """One that is reached and has just answered; its outbox is in a hurry."""
    monkeypatch.setattr(outbox, "PATIENCE", 0.8)
    monkeypatch.setattr(outbox, "PAUSE", (0.05, 0.1))
    client = SimpleNamespace(answered=time.monotonic())
    return SimpleNamespace(
        client=client, address="A", folders=SimpleNamespace(root="B"), probe=lambda: setattr(client, "answered", 0.0)
    )


def test_who_submits_does_not_wait(store):
    """Nor does what comes later go before; of one name only the latest is sent."""
    sent, goes_on = [], threading.Event()
    box = Outbox(store)
    started = time.monotonic()
    box.submit("first", lambda: goes_on.wait() and sent.append("first"))
    for n in range(3):
        box.submit("second", lambda n=n: sent.append(n))
    box.submit("third", lambda: sent.append("third"))
    assert time.monotonic() - started < 0.5
    goes_on.set()
    assert box.close() == []
    assert sent == ["first", 2, "third"]


def test_what_comes_while_its_name_is_being_sent_is_sent_too(store):
    sent, begun, goes_on = [], threading.Event(), threading.Event()
    box = Outbox(store)
    box.submit("a", lambda: begun.set() or goes_on.wait())
    begun.wait()
    box.submit("a", lambda: sent.append("again"))
    goes_on.set()
    assert box.close() == []
    assert sent == ["again"]


def test_what_fails_is_tried_again_and_told_once(store, caplog):
    tries = []

    def fails_twice():
        tries.append(len(tries))
        if len(tries) < 3:
            raise ValueError("away")

    box = Outbox(store)
    box.submit("a", fails_twice)
    box.submit("b", lambda: None)
    assert box.close() == []
    assert tries == [0, 1, 2]
    deadline = time.monotonic() + 5
    while len(caplog.records) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "the MLflow store A does not take what it is sent",
        "the MLflow store A answers again",
    ]


def test_what_is_refused_for_good_is_not_waited_for(store):
    """Though the store answers all the while."""

    def refused():
        store.client.answered = time.monotonic()
        raise ValueError("no")

    box = Outbox(store)
    box.submit("a", refused)
    box.submit("b", lambda: None)
    assert box.close() == ["a"]


def test_what_is_closed_sends_no_more(store):
    """Though the driver closes it again when it leaves."""
    sent, begun, goes_on = [], threading.Event(), threading.Event()
    box = Outbox(store)
    box.submit("a", lambda: begun.set() or goes_on.wait())
    box.submit("b", lambda: sent.append("b"))
    begun.wait()
    assert box.close(within=0) == ["a", "b"]
    goes_on.set()
    started = time.monotonic()
    box.close()
    assert time.monotonic() - started < 0.5
    box.submit("c", lambda: sent.append("c"))
    time.sleep(0.3)
    assert sent == []


def test_a_store_that_is_silent_is_not_waited_for(store):
    """However long it takes to say nothing; one that answers slowly is, and for no longer than it may."""
    box = Outbox(store)
    box.submit("a", threading.Event().wait)
    started = time.monotonic()
    assert box.close() == ["a"]
    assert 0.7 < time.monotonic() - started < 3

    def slow():
        for _ in range(6):
            time.sleep(0.2)
            store.client.answered = time.monotonic()

    box = Outbox(store)
    box.submit("a", slow)
    assert box.close(within=0.3) == ["a"]
    box = Outbox(store)
    box.submit("a", slow)
    assert box.close() == []
