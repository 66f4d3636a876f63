"""Cached outputs: what is left of an entry where something fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bunsui.model.artifact import Artifact
from bunsui.model.json import MAX_DEPTH, Json
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
from bunsui.runner.attempts.caching import Cached, Caching
from bunsui.runner.clock import SystemClock
from bunsui.stores.memory import MemoryStore

DEEPEST = Json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


class Full(FolderArtifacts):
    """A disk on which there is no room for now."""

    is_full = True

    def adopt(self, *arguments: Any) -> Artifact:
        """See `Artifacts.adopt`."""
        if self.is_full:
            raise OSError(28, "No space left on device", "file")
        return super().adopt(*arguments)


class Odd(MemoryStore):
    """A store that raises what no store should, where an entry is written."""

    def put(self, kind: str, *arguments: Any, **more: Any) -> int:
        """See `Store.put`."""
        if kind == "cache":
            raise RuntimeError("odd")
        return super().put(kind, *arguments, **more)


def never() -> Json:
    raise AssertionError("it was kept")


def test_the_deepest_output_is_kept() -> None:
    """Its entry has a level more, and its own limit is that of outputs."""
    caching = Caching(MemoryStore(), None, SystemClock())
    caching.remember("remote", DEEPEST, "s1", 60)
    computed = caching.find_or_compute("k", "s1", "x", lambda: DEEPEST, 60, lambda: None)
    again = caching.find_or_compute("k", "s2", "x", never, 60, lambda: None)
    expected = Cached(DEEPEST, "s1")
    assert [expected] * 3 == [computed, again, caching.find("remote", "s2", "x")]


def test_a_disk_that_is_full_for_now_leaves_the_entry(tmp_path: Path) -> None:
    """The job runs; who comes later takes the output over."""
    artifacts = Full(tmp_path)
    caching = Caching(MemoryStore(), artifacts, SystemClock())
    kept = artifacts.put("s1", '"large"', "x")
    caching.remember("k", kept, "s1", 60)
    assert None is caching.find("k", "s2", "x")
    anew = Json('"anew"')
    assert Cached(anew, "s2") == caching.find_or_compute("k", "s2", "x", lambda: anew, 60, lambda: None)
    artifacts.is_full = False
    assert Cached(kept, "s1") == caching.find("k", "s3", "x")


def test_a_file_that_can_not_be_read_for_now_leaves_the_entry(tmp_path: Path) -> None:
    """One that is damaged takes it out, since it will be so for others, too."""
    artifacts = FolderArtifacts(tmp_path)
    caching = Caching(MemoryStore(), artifacts, SystemClock())
    kept = artifacts.put("s1", '"large"', "x")
    caching.remember("k", kept, "s1", 60)
    file, elsewhere = artifacts.path("s1", kept), tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)  # Which is not followed.
    assert (None, None) == (caching.find("k", "s2", "x"), caching.lookup("k"))
    elsewhere.replace(file)
    assert "s1" == caching.lookup("k")
    file.unlink()
    file.write_text('"LARGE"')
    assert (None, None) == (caching.find("k", "s2", "x"), caching.lookup("k"))


@pytest.mark.parametrize("content", [None, '"larg"'])
def test_what_is_gone_is_not_promised(tmp_path: Path, content: str | None) -> None:
    """Whoever looks before a run is told that the job would run; the entry stays for the run itself."""
    artifacts = FolderArtifacts(tmp_path)
    caching = Caching(MemoryStore(), artifacts, SystemClock())
    kept = artifacts.put("s1", '"large"', "x")
    caching.remember("k", kept, "s1", 60)
    assert "s1" == caching.lookup("k")
    file = artifacts.path("s1", kept)
    file.unlink()
    if content is not None:
        file.write_text(content)
    assert None is caching.lookup("k")
    assert None is Caching(MemoryStore(), None, SystemClock()).lookup("k")
    artifacts.put("s1", '"large"', "x")
    assert "s1" == caching.lookup("k")


@pytest.mark.parametrize(
    "entry",
    [{"output": float("nan")}, {"sha256": 3, "bytes": 7}, {"sha256": "a" * 64}, {}],
)
def test_an_entry_that_is_none_is_taken_out(tmp_path: Path, entry: dict[str, Any]) -> None:
    """The job runs, and its output is kept in that one's place."""
    caching = Caching(MemoryStore(), FolderArtifacts(tmp_path), SystemClock())
    made = Json("1")
    text = json.dumps({"session": "s1", **entry})
    caching._entries.set("k", Json(text), 60)
    assert ("s1" if "output" in entry else None) == caching.lookup("k")
    assert Cached(made, "s2") == caching.find_or_compute("k", "s2", "x", lambda: made, 60, lambda: None)
    assert Cached(made, "s2") == caching.find("k", "s3", "x")


def test_what_a_store_raises_fails_no_job() -> None:
    """What it computed is its output, and who remembers for others is not disturbed."""
    caching = Caching(Odd(), None, SystemClock())
    made = Json("1")
    assert Cached(made, "s1") == caching.find_or_compute("k", "s1", "x", lambda: made, 60, lambda: None)
    caching.remember("k2", made, "s1", 60)


def test_what_the_job_raises_is_its_own() -> None:
    """However often a cache may fail."""
    caching = Caching(Odd(), None, SystemClock())
    with pytest.raises(ZeroDivisionError):
        caching.find_or_compute("k", "s1", "x", lambda: Json(str(1 // 0)), 60, lambda: None)
