"""Results that become files, and queries that are stopped."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest
from desk import ENDLESS, Desk

import bunsui
from bunsui_duckdb.query import Query


class TestInto:
    """`into`."""

    @pytest.mark.parametrize(
        ("fields", "kind"),
        [
            ({"into": "out/a b.parquet"}, "parquet"),
            ({"into": "out/ü.csv"}, "csv"),
            ({"into": "out/a.json"}, "json"),
            ({"into": "out/a.ndjson"}, "ndjson"),
            ({"into": "out/a", "format": "parquet"}, "parquet"),
        ],
    )
    def test_formats(self, desk: Desk, fields: dict[str, str], kind: str) -> None:
        """The file reads as what it should be, and the output describes it."""
        sql = "SELECT range AS n, $word AS w FROM range(3) -- all"
        output = desk.output(sql=sql, parameters={"word": "it's"}, **fields)
        path = desk.folder / fields["into"]
        content = path.read_bytes()
        assert {
            "path": str(path),
            "format": kind,
            "count": 3,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        } == output
        reader = {"parquet": duckdb.read_parquet, "csv": duckdb.read_csv}.get(kind, duckdb.read_json)
        assert [(0, "it's"), (1, "it's"), (2, "it's")] == reader(str(path)).fetchall()
        assert [fields["into"]] == desk.here()

    def test_json_and_lines(self, desk: Desk) -> None:
        """The one is a list, the other a value in each line."""
        desk.output(sql="SELECT range AS n FROM range(2)", into="a.json")
        desk.output(sql="SELECT range AS n FROM range(2)", into="a.ndjson")
        assert [{"n": 0}, {"n": 1}] == json.loads((desk.folder / "a.json").read_text(encoding="utf-8"))
        assert '{"n":0}\n{"n":1}\n' == (desk.folder / "a.ndjson").read_text(encoding="utf-8")

    def test_pivot(self, desk: Desk) -> None:
        """Which DuckDB makes two statements of."""
        desk.output(sql="PIVOT (VALUES (1, 2), (1, 3)) t(a, b) ON a USING sum(b)", into="a.csv")
        assert "1\n5\n" == (desk.folder / "a.csv").read_text(encoding="utf-8")

    def test_more_rows_than_an_output(self, desk: Desk) -> None:
        """`max_rows` is about outputs."""
        output = desk.output(sql="SELECT * FROM range(1000000)", into="a.parquet", max_rows=1)
        assert 1_000_000 == output["count"]

    def test_its_own_input(self, desk: Desk) -> None:
        """A file may be made of what it was."""
        desk.file("a.csv", "n\n1\n")
        desk.output(sql="SELECT n + 1 AS n FROM t", inputs={"t": "a.csv"}, into="a.csv")
        assert "n\n2\n" == (desk.folder / "a.csv").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("sql", "code"),
        [
            ("SELECT CAST(range - 1000000 AS UTINYINT) FROM range(2000000)", "DuckDB.ConversionException"),
            ("CREATE TABLE t (a INTEGER)", "DuckDB.NoRows"),
        ],
    )
    def test_what_is_there_stays(self, desk: Desk, sql: str, code: str) -> None:
        """Where the query fails, also halfway."""
        desk.file("out.csv", "before")
        assert code == desk.failure(sql, into="out.csv").code
        assert ("before", ["out.csv"]) == (
            (desk.folder / "out.csv").read_text(encoding="utf-8"), desk.here(),
        )  # fmt: skip

    def test_a_place_that_can_not_be_written(self, desk: Desk) -> None:
        """A folder stands there; another attempt may find it gone."""
        (desk.folder / "out.csv").mkdir()
        error = desk.failure("SELECT 1 AS a", into="out.csv")
        assert ("DuckDB.IOException", True) == (error.code, error.retryable)
        assert [] == desk.here()


class TestStopping:
    """A query that takes hours ends when it is to end."""

    @pytest.fixture(autouse=True)
    def _spills(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where queries put what does not fit into memory; it has to be gone, too."""
        self.spills = tmp_path / "spills"
        self.spills.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(self.spills))

    @pytest.mark.parametrize("fields", [{}, {"into": "out.csv"}])
    def test_cancel(self, desk: Desk, fields: dict[str, str]) -> None:
        """Its thread ends, and leaves nothing."""
        session = desk.runner.start(desk.pipeline(sql=ENDLESS, **fields))
        self.wait_for_the_query()
        session.cancel("enough")
        assert ("cancelled", "enough") == (session.wait(60), session.jobs["ask"].reason)
        desk.runner.close()
        assert ([], []) == (desk.here(), list(self.spills.iterdir()))

    def test_timeout(self, desk: Desk) -> None:
        """The query has ended when the next attempt begins."""
        retry = {"max_attempts": 2, "delay": 0}
        state = desk.state(sql=ENDLESS, timeout=0.5, retry=retry)
        codes = [attempt.error.code for attempt in state.attempts if attempt.error is not None]
        assert ["JobTimeout", "JobTimeout"] == codes
        desk.runner.close()
        assert [] == list(self.spills.iterdir())

    def test_a_process_that_ends(self, desk: Desk) -> None:
        """Closing the runner interrupts it."""
        session = desk.runner.start(desk.pipeline(sql=ENDLESS))
        self.wait_for_the_query()
        desk.runner.close(timeout=0)
        assert "running" == session.status
        assert [] == list(self.spills.iterdir())

    def test_between_two_statements(self) -> None:
        """Where an interrupt of DuckDB's would stop neither."""
        call = bunsui.JobCall(
            session_id="s", pipeline="p", job_id="ask", attempt=1, parameters={}, idempotency_key="k",
            options={"sql": "CREATE TABLE t (a INTEGER); SELECT 1"}, workbench=cast("Any", None),
        )  # fmt: skip
        query = Query(call)
        query.interrupt()
        with pytest.raises(bunsui.JobCancelled):
            query.run()

    def wait_for_the_query(self) -> None:
        until = time.monotonic() + 60
        while not list(self.spills.iterdir()) and time.monotonic() < until:
            time.sleep(0.01)


def test_limits(desk: Desk) -> None:
    """Memory and threads are DuckDB's settings; too little memory is no fault of the SQL."""
    rows = desk.rows(
        "SELECT current_setting('memory_limit') AS m, current_setting('threads') AS t",
        memory_limit="100MiB", threads=1,
    )  # fmt: skip
    assert [{"m": "100.0 MiB", "t": 1}] == rows
    error = desk.failure("SELECT list(range) AS l FROM range(100000000)", memory_limit="10MiB", threads=1)
    assert ("DuckDB.OutOfMemoryException", True) == (error.code, error.retryable)


def test_what_does_not_fit_into_memory(desk: Desk) -> None:
    """Is put into a folder of its own, which is gone with the query; by default, it would be the project."""
    (row,) = desk.rows("SELECT current_setting('temp_directory') AS d")
    spill = Path(row["d"])
    assert (tempfile.gettempdir(), False) == (str(spill.parent), spill.exists())
    assert spill.name.startswith("bunsui-duckdb-")


def test_the_zone_of_the_machine(desk: Desk) -> None:
    """Has no part in an output: a day is a day in UTC."""
    rows = desk.rows("SELECT CAST(TIMESTAMPTZ '2026-05-04 23:00:00+00' AS DATE) AS day")
    assert [{"day": "2026-05-04"}] == rows


def test_secrets(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As parameters they reach the SQL, and no error."""
    import bunsui_duckdb

    monkeypatch.setenv("TOKEN", "s3cr3t-value")
    job = bunsui.Job("ask", "duckdb", sql="SELECT CAST($t AS INTEGER)", parameters={"t": "${secrets.token}"})
    with bunsui.Runner(
        "memory://", plugins=[bunsui_duckdb], autoload_plugins=False,
        config={"secrets": {"token": "env:TOKEN"}},
    ) as runner:  # fmt: skip
        error = runner.run(bunsui.Pipeline("p", [job])).jobs["ask"].error
    assert error is not None
    assert "DuckDB.ConversionException" == error.code
    assert "s3cr3t" not in error.message
