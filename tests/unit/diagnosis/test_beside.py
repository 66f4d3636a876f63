"""What is found of the logs and the artifacts beside a store."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import bunsui
from bunsui import Plugins
from bunsui.diagnosis.beside import beside, folder, named_artifacts
from bunsui.diagnosis.check import Check, Status
from bunsui.diagnosis.doctor import the_store
from bunsui.runner.attempts.artifact_folder import FolderArtifacts
from bunsui.stores.memory import MemoryStore
from bunsui.stores.sqlite import SqliteStore
from bunsui_tests.aws.endpoint import FakeAws

#: Characters of an output that is an artifact.
LARGE = 100_000


def large() -> str:
    print("said")
    bunsui.current_call().logger.info("logged")
    return "x" * LARGE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two sessions, each of which has a log and an artifact."""
    tmp_path.chmod(0o700)
    path = tmp_path / "store.db"
    pipeline = bunsui.Pipeline("p", [bunsui.Job.from_callable(large)])
    with bunsui.Runner(f"sqlite:///{path}", autoload_plugins=False, config={}) as runner:
        for _ in range(2):
            runner.run(pipeline).raise_for_status()
    return path


def look(path: Path) -> dict[str, Check]:
    return {check.name: check for check in the_store(f"sqlite:///{path}", Plugins(autoload=False))}


def files_in(place: Path) -> list[Path]:
    return sorted(each for each in place.rglob("*") if each.is_file() and each.suffix not in (".db-shm",))


def test_what_is_there(path: Path) -> None:
    """Folders with their sizes, artifacts of the newest sessions; nothing is left there."""
    before = files_in(path.parent)
    found = look(path)
    logs = [each for each in before if "-logs" in str(each)]
    size = sum(each.stat().st_size for each in logs)
    assert f"{path}-logs can be written, and has {size} bytes in {len(logs)} files" == found["logs"].what
    assert f"{path}-artifacts can be written, and has 195.3 KiB in 2 files" == found["artifacts"].what
    assert (
        "the newest 2 sessions name 2, and all are there; 2 of them were read, and are whole"
        == found["artifacts' content"].what
    )
    assert before == files_in(path.parent)


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It says where it will be."""
    found = folder("logs", tmp_path / "store.db-logs")
    assert f"{tmp_path}/store.db-logs is not there yet: it is made with the first of them" == found.what
    assert Status.OK is found.status
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_something_else_in_its_place(tmp_path: Path, kind: str) -> None:
    """Is a problem: nothing can be written there."""
    place = tmp_path / "store.db-logs"
    place.write_text("x") if kind == "file" else place.symlink_to(tmp_path / "nowhere")
    found = folder("logs", place)
    assert (Status.PROBLEM, True) == (found.status, (found.remedy or "").startswith("move away"))


def test_a_folder_that_everybody_may_write(path: Path) -> None:
    """Is a warning with the command that helps."""
    place = Path(f"{path}-artifacts")
    place.chmod(0o777)
    found = look(path)["artifacts"]
    assert (Status.WARNING, f"chmod o-w '{place}'") == (found.status, found.remedy)


@pytest.mark.parametrize("place", ["/proc", "/proc/1"])
def test_a_folder_that_can_not_be_written(place: str) -> None:
    """It is tried: no rights tell it, as of a full disk or a mount that may only be read."""
    found = folder("logs", Path(place))
    assert Status.PROBLEM is found.status
    assert f"{place} can't be written: " in found.what


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EROFS, "run as a user who may")],
)
def test_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    """Wants room, not rights."""

    def full(**_: object) -> object:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr("tempfile.TemporaryFile", full)
        found = folder("logs", tmp_path)
    assert (Status.PROBLEM, True) == (found.status, (found.remedy or "").startswith(remedy))


@pytest.mark.parametrize("read", [True, False], ids=["read", "only looked at"])
def test_an_artifact_that_is_gone(path: Path, read: bool) -> None:
    """Is named with session and job; that it may lie elsewhere is said."""
    gone = next(each for each in files_in(path.parent) if "-artifacts" in str(each))
    gone.unlink()
    found = content(path, read=read)
    assert Status.WARNING is found.status
    assert (
        f"the output of job 'large' in session {gone.parent.name} is gone: there is no file {gone}"
        in found.what
    )
    assert "Runner(artifacts=...)" in found.what


def test_an_artifact_that_is_damaged(path: Path) -> None:
    """Is found where it is read, and where its size is another one."""
    damaged = next(each for each in files_in(path.parent) if "-artifacts" in str(each))
    damaged.write_bytes(b"y" * damaged.stat().st_size)
    assert (Status.PROBLEM, Status.OK) == (content(path, read=True).status, content(path, read=False).status)
    assert "name 2, and all are there; 0 of them were read" in content(path, read=False).what
    os.truncate(damaged, 5)
    assert Status.PROBLEM is content(path, read=False).status


def content(path: Path, *, read: bool) -> Check:
    store = SqliteStore(path)
    try:
        return named_artifacts(
            store, FolderArtifacts(Path(f"{path}-artifacts")), most_read=10 * LARGE if read else 0
        )
    finally:
        store.close()


def test_more_files_than_are_looked_at(path: Path) -> None:
    """It says so."""
    assert folder("artifacts", Path(f"{path}-artifacts"), 1).what.endswith(
        "in 1 files; no further ones were counted"
    )


def test_a_store_that_is_no_file() -> None:
    """Nothing outlives its runner, so there is nothing to look at."""
    assert [] == list(beside(MemoryStore()))


def test_a_configured_folder_of_artifacts(path: Path, tmp_path: Path) -> None:
    """It is the one that is looked at, whatever lies beside the store."""
    kept = tmp_path / "kept"
    Path(f"{path}-artifacts").rename(kept)
    found = {
        check.name: check for check in the_store(f"sqlite:///{path}", Plugins(autoload=False), str(kept))
    }
    assert (Status.OK, Status.OK) == (found["artifacts"].status, found["artifacts' content"].status)
    assert str(kept) in found["artifacts"].what
    (tmp_path / "file").touch()
    (check,) = (check for check in beside(MemoryStore(), str(tmp_path / "file")))
    assert (Status.PROBLEM, True) == (check.status, "which is no folder" in check.what)


def test_logs_in_cloudwatch_logs(fake_aws: FakeAws, path: Path, aws_environment: dict[str, str]) -> None:
    """The group is asked for, and nothing written: it is there, is made later, or may not be asked for."""
    del aws_environment
    url = f"cloudwatch:///bunsui/team?region=eu-central-1&endpoint_url={fake_aws.url}"

    def look_at(logs: str) -> Check:
        checks = the_store(f"sqlite:///{path}", Plugins(autoload=False), logs=logs)
        return next(check for check in checks if check.name == "logs")

    group = "group /bunsui/team of CloudWatch Logs"
    assert (Status.OK, f"{group} is made with the first record") == (look_at(url).status, look_at(url).what)
    fake_aws.logs.put("/bunsui/team", "s", "x")
    assert (Status.OK, f"{group} can be asked") == (look_at(url).status, look_at(url).what)
    fake_aws.faults.deny("logs")
    found = look_at(url)
    assert (Status.PROBLEM, True) == (found.status, "logs DescribeLogStreams" in found.what)
    assert "logs:DescribeLogStreams" in str(found.remedy)
    assert Status.PROBLEM is look_at("cloudwatch:///a b").status
    assert {"DescribeLogStreams"} == {call.action for call in fake_aws.calls}


def test_logs_in_another_folder(path: Path, tmp_path: Path) -> None:
    """The one that is configured is looked at; of logs that go with the runner that is said."""
    given = str(tmp_path / "kept")
    checks = list(the_store(f"sqlite:///{path}", Plugins(autoload=False), logs=given))
    assert [f"{given} is not there yet: it is made with the first of them"] == [
        check.what for check in checks if check.name == "logs"
    ]
    checks = list(the_store(f"sqlite:///{path}", Plugins(autoload=False), logs="none"))
    (found,) = [check for check in checks if check.name == "logs"]
    assert (Status.OK, True) == (found.status, "as long as the runner" in found.what)
