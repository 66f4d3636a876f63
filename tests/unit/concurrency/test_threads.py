"""The one thread of something, also where its start was interrupted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bunsui.concurrency.threads import Sole, start


class Started(threading.Thread):
    """It runs, and who started it is interrupted all the same."""

    def start(self) -> None:
        super().start()
        raise KeyboardInterrupt


class Scene:
    """What starts its thread under a lock, as an owner does."""

    def __init__(self) -> None:
        self.sole = Sole()
        self.lock = threading.Lock()
        self.made: list[threading.Thread] = []
        self.claimed: dict[threading.Thread, bool] = {}
        self.told = threading.Event()
        #: Threads claim when this is set, and live until the other is.
        self.go, self.end = threading.Event(), threading.Event()

    def main(self) -> None:
        assert self.go.wait(30)
        with self.lock:
            found = self.sole.claim()
        self.claimed[threading.current_thread()] = found
        self.told.set()
        assert not found or self.end.wait(30)

    def start(self, kind: type[threading.Thread] = threading.Thread) -> None:
        def make(**arguments: Any) -> threading.Thread:
            self.made.append(kind(**arguments))
            return self.made[-1]

        with self.lock:
            self.sole.start(self.main, "sole", make)

    def claims(self) -> list[bool]:
        """What the threads are told that were made, in their order; they end."""
        self.go.set()
        self.end.set()
        for thread in self.made:
            thread.join(30)
        return [self.claimed[thread] for thread in self.made]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.go.set()
    made.end.set()
    for thread in made.made:
        if thread.ident is not None:
            thread.join(30)


def test_one_thread(scene: Scene) -> None:
    """However often it is started; it is the one before it has claimed anything, and afterwards."""
    scene.start()
    scene.start()
    scene.go.set()
    assert scene.told.wait(30)
    scene.start()
    assert [True] == scene.claims()
    assert (True, "sole") == (scene.made[0].daemon, scene.made[0].name)


def test_one_that_claimed_behind_an_interrupt(scene: Scene) -> None:
    """It runs although its start was interrupted, and no other is started."""
    with pytest.raises(KeyboardInterrupt):
        scene.start(Started)
    scene.go.set()
    assert scene.told.wait(30)
    scene.start()
    assert [True] == scene.claims()


def test_one_that_has_not_claimed_behind_an_interrupt(scene: Scene) -> None:
    """Another one is started in its place, and it has nothing to do when it comes."""
    with pytest.raises(KeyboardInterrupt):
        scene.start(Started)
    scene.start()
    assert [False, True] == scene.claims()


def test_interrupted_twice(scene: Scene) -> None:
    """Of two whose start was interrupted one is the one, whichever comes first."""
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            scene.start(Started)
    assert [False, True] == sorted(scene.claims())


def test_one_that_did_not_start(scene: Scene) -> None:
    """What comes out of its start is told, and the next one is started."""

    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError, match="can't start new thread"):
        scene.start(Refused)
    scene.made.clear()
    scene.start()
    assert [True] == scene.claims()


def test_an_interrupt_that_threading_hides() -> None:
    """It comes out as what it is: `Thread.start` may make another error of it."""

    class Hiding(threading.Thread):
        def start(self) -> None:
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("release unlocked lock")

    with pytest.raises(KeyboardInterrupt):
        start(Hiding())
