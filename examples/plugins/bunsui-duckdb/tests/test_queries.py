"""Inputs, parameters, statements, and rows as JSON."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from desk import Desk

import bunsui

ORDERS = "region,amount\nnorth,1.5\nsouth,2\nnorth,3\n"


class TestInputs:
    """Files as views."""

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.csv", "a,b\n1,x\n2,y\n"),
            ("a.tsv", "a\tb\n1\tx\n2\ty\n"),
            ("a.json", '[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]'),
            ("a.ndjson", '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'),
            ("a.JSONL", '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'),
        ],
    )
    def test_kinds(self, desk: Desk, name: str, text: str) -> None:
        """By their suffix."""
        desk.file(name, text)
        expected = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        assert expected == desk.rows("SELECT * FROM t ORDER BY a", inputs={"t": name})

    def test_packed(self, desk: Desk) -> None:
        """With gzip."""
        (desk.folder / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
        assert [{"a": 1}] == desk.rows("FROM t", inputs={"t": "a.csv.gz"})

    @pytest.mark.parametrize("name", ["with space.csv", "ü'\"-ñ.csv", "a[1].csv", "new\nline.csv", "$x.csv"])
    def test_names(self, desk: Desk, name: str) -> None:
        """Whatever they are, they are names and nothing else."""
        desk.file(name, "a\n1\n")
        assert [{"a": 1}] == desk.rows("FROM t", inputs={"t": name})

    def test_patterns_and_lists(self, desk: Desk) -> None:
        """Several files are one view, in the order of their names."""
        for name in ("in/b.csv", "in/a.csv", "in/deep/c.csv", "other.csv"):
            desk.file(name, f"a\n{name}\n")
        one = desk.rows("FROM t", inputs={"t": "in/*.csv"})
        deep = desk.rows("FROM t", inputs={"t": "in/**/*.csv"})
        both = desk.rows("FROM t", inputs={"t": ["other.csv", "in/b.csv"]})
        assert ["in/a.csv", "in/b.csv"] == [row["a"] for row in one]
        assert ["in/a.csv", "in/b.csv", "in/deep/c.csv"] == [row["a"] for row in deep]
        assert ["other.csv", "in/b.csv"] == [row["a"] for row in both]

    def test_absolute_ones(self, desk: Desk, tmp_path: Path) -> None:
        """They need not be beside the definition: another job says where its file is."""
        (tmp_path / "x.csv").write_text("a\n1\n", encoding="utf-8")
        assert [{"a": 1}] == desk.rows("FROM t", inputs={"t": str(tmp_path / "x.csv")})
        assert [{"a": 1}] == desk.rows("FROM t", inputs={"t": str(tmp_path / "*.csv")})

    @pytest.mark.parametrize("pattern", ["no.csv", "no/*.csv", "..", "/"])
    def test_missing_ones(self, desk: Desk, pattern: str) -> None:
        """They are named, and no attempt can mend it."""
        error = desk.failure("FROM t", inputs={"t": pattern})
        assert ("DuckDB.NoSuchFile", False) == (error.code, error.retryable)
        assert "input 't': there is no file" in error.message

    @pytest.mark.parametrize("name", ["a.xlsx", "a", "a*.csv"])
    def test_what_can_not_be_read(self, desk: Desk, name: str) -> None:
        """Of no known kind, or with a name that DuckDB would take for a pattern."""
        desk.file(name, "a\n1\n")
        assert "DuckDB.UnreadableFile" == desk.failure("FROM t", inputs={"t": name}).code

    @pytest.mark.parametrize(("name", "text"), [("a.parquet", "xx"), ("a.json", '{"a":')])
    def test_damaged_ones(self, desk: Desk, name: str, text: str) -> None:
        """DuckDB says what is wrong with them."""
        desk.file(name, text)
        error = desk.failure("FROM t", inputs={"t": name})
        assert ("DuckDB.InvalidInputException", False) == (error.code, error.retryable)

    def test_a_million_rows(self, desk: Desk) -> None:
        """Are summed up without being an output."""
        with (desk.folder / "big.csv").open("w", encoding="utf-8") as file:
            file.write("n,k\n")
            file.writelines(f"{n},{n % 3}\n" for n in range(1_000_000))
        rows = desk.rows(
            "SELECT k, count(*) c, sum(n) s FROM t GROUP BY k ORDER BY k", inputs={"t": "big.csv"}
        )
        assert [
            {"k": k, "c": len(range(k, 1_000_000, 3)), "s": sum(range(k, 1_000_000, 3))} for k in range(3)
        ] == rows


class TestWhatItCanReach:
    """The files of the job, and nothing else."""

    @pytest.mark.parametrize(
        "sql",
        [
            "FROM read_text('{other}')",
            "FROM '{other}'",
            "FROM glob('{folder}/*')",
            "COPY (SELECT 1) TO '{folder}/new.csv'",
            "ATTACH '{folder}/new.db'",
            "INSTALL httpfs",
            "FROM 'http://127.0.0.1:1/a.csv'",
            "SET enable_external_access = true",
            "SET allowed_directories = ['{folder}']",
        ],
    )
    def test_what_is_refused(self, desk: Desk, sql: str) -> None:
        """Other files, extensions, the network, and to allow oneself these; nothing is written."""
        other = desk.file("other.csv", "a\n1\n")
        desk.file("input.csv", "a\n1\n")
        error = desk.failure(
            sql.format(other=str(other).replace("'", "''"), folder=str(desk.folder).replace("'", "''")),
            inputs={"t": "input.csv"},
        )
        assert error.code.startswith("DuckDB.")
        assert not error.retryable
        assert ["input.csv", "other.csv"] == desk.here()


class TestParameters:
    """Values in SQL."""

    def test_values(self, desk: Desk) -> None:
        """All that JSON has; those that the SQL does not name are left out."""
        parameters = {
            "t": "it's; DROP",
            "n": 2**40,
            "x": 1.5,
            "b": True,
            "l": [1, 2],
            "o": {"k": 1},
            "z": None,
        }
        sql = "SELECT $t AS t, $n AS n, $x AS x, $b AS b, $l AS l, $o AS o, $z AS z"
        assert [parameters] == desk.rows(sql, parameters={**parameters, "unused": 1})

    def test_each_statement_takes_its_own(self, desk: Desk) -> None:
        """There may be several."""
        sql = "CREATE TABLE t AS SELECT $a AS a; INSERT INTO t VALUES ($b); FROM t ORDER BY a -- the end"
        assert [{"a": 1}, {"a": 2}] == desk.rows(sql, parameters={"a": 1, "b": 2})

    def test_missing_ones(self, desk: Desk) -> None:
        """All are named at once."""
        error = desk.failure("SELECT $a, $b, $c", parameters={"b": 1})
        assert ("DuckDB.MissingParameter", False) == (error.code, error.retryable)
        assert "the SQL names $a, $c, which" in error.message

    def test_references_in_parameters(self, runner: bunsui.Runner) -> None:
        """Are how values come into SQL; in the SQL itself they are refused."""
        jobs = [bunsui.Job("ask", "duckdb", sql="SELECT $day AS day", parameters={"day": "${day}"})]
        pipeline = bunsui.Pipeline("p", jobs, parameters=[bunsui.Parameter("day")])
        evil = "x'; DROP TABLE t; --"
        assert [{"day": evil}] == runner.run(pipeline, {"day": evil}).outputs["ask"]["rows"]
        with pytest.raises(bunsui.DefinitionError, match=r"SQL can't hold references.*\$NAME"):
            runner.run(bunsui.Pipeline("p", [bunsui.Job("a", "duckdb", sql="SELECT ${session.id}")]))


class TestSql:
    """Where it comes from, and what is wrong with it."""

    def test_a_file(self, desk: Desk) -> None:
        """Beside the definition."""
        desk.file("sql/sum.sql", "-- a sum\nSELECT sum(amount) AS total\nFROM orders;\n")
        desk.file("orders.csv", ORDERS)
        found = desk.output(sql_file="sql/sum.sql", inputs={"orders": "orders.csv"})
        assert {"rows": [{"total": 6.5}], "count": 1} == found

    def test_a_file_that_is_not_there(self, desk: Desk) -> None:
        """It is named."""
        error = desk.state(sql_file="sum.sql").error
        assert error is not None
        assert ("DuckDB.NoSuchFile", True) == (error.code, str(desk.folder / "sum.sql") in error.message)

    @pytest.mark.parametrize(
        ("sql", "code"),
        [
            ("SELEC 1", "ParserException"),
            ("SELECT * FROM nowhere", "CatalogException"),
            ("SELECT a FROM (SELECT 1 AS b)", "BinderException"),
            ("SELECT CAST('x' AS INTEGER)", "ConversionException"),
            ("SELECT error('no such day')", "InvalidInputException"),
            ("-- nothing", "NoStatement"),
            ("SELECT 1 AS a, 2 AS a", "DuplicateColumn"),
        ],
    )
    def test_what_is_wrong(self, desk: Desk, sql: str, code: str) -> None:
        """DuckDB's own classes are the codes. Another attempt would find the same."""
        state = desk.state(sql=sql, retry={"max_attempts": 3, "delay": 0})
        assert state.error is not None
        assert (f"DuckDB.{code}", False, 1) == (state.error.code, state.error.retryable, len(state.attempts))

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({}, "one-of"),
            ({"sql": "SELECT 1", "sql_file": "a.sql"}, "one-of"),
            ({"sql": "SELECT 1", "format": "csv"}, "unused-field"),
            ({"sql": "SELECT 1", "into": "a.xlsx"}, "unknown-format"),
            ({"sql": "SELECT 1", "inputs": {"a b": "a.csv"}}, "bad-value"),
            ({"sql": "SELECT 1", "inputs": {"a": []}}, "out-of-range"),
            ({"sql": "SELECT 1", "memory_limit": "much"}, "bad-value"),
            ({"sql": "SELECT 1", "query": "a"}, "unknown-field"),
        ],
    )
    def test_what_is_refused_before(self, runner: bunsui.Runner, fields: dict[str, Any], code: str) -> None:
        """Each with its code."""
        with pytest.raises(bunsui.DefinitionError) as raised:
            runner.run(bunsui.Pipeline("p", [bunsui.Job("ask", "duckdb", **fields)]))
        assert [code] == [problem.code for problem in raised.value.problems]


class TestRows:
    """As JSON: nothing is lost without a word."""

    @pytest.mark.parametrize(
        ("sql", "expected"),
        [
            ("true", True),
            ("NULL", None),
            ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
            ("0.1::DOUBLE", 0.1),
            ("12.30::DECIMAL(5,2)", "12.30"),
            ("DATE '2026-05-04'", "2026-05-04"),
            ("TIME '10:00:00.5'", "10:00:00.500000"),
            ("TIMESTAMP '2026-05-04 10:00:00'", "2026-05-04T10:00:00"),
            ("TIMESTAMPTZ '2026-05-04 10:00:00+02'", "2026-05-04T08:00:00Z"),
            ("INTERVAL '1 day 1 second'", 86401.0),
            ("'\\x00\\xFF'::BLOB", "AP8="),
            ("'7f0c8a6e-8a3c-4d0e-9b0a-1d2c3b4a5f60'::UUID", "7f0c8a6e-8a3c-4d0e-9b0a-1d2c3b4a5f60"),
            ("[DATE '2026-05-04', NULL]", ["2026-05-04", None]),
            ("{'a': 1.5::DECIMAL(2,1), 'b': [1]}", {"a": "1.5", "b": [1]}),
            ("MAP {1: 'x', 2: 'y'}", {"1": "x", "2": "y"}),
            ("MAP {true: 1, false: 0}", {"true": 1, "false": 0}),
            ("'a'::ENUM('a', 'b')", "a"),
            ("'101'::BIT", "101"),
            ("""'{"a": 1}'::JSON""", '{"a": 1}'),
        ],
    )
    def test_values(self, desk: Desk, sql: str, expected: Any) -> None:
        """The table of the README."""
        assert [{"x": expected}] == desk.rows(f"SELECT {sql} AS x")

    @pytest.mark.parametrize("sql", ["'nan'::DOUBLE", "['-inf'::FLOAT]"])
    def test_what_json_has_not(self, desk: Desk, sql: str) -> None:
        """It is refused, with the column and a remedy."""
        error = desk.failure(f"SELECT {sql} AS ratio")
        assert ("DuckDB.NotJson", False) == (error.code, error.retryable)
        assert "'ratio'" in error.message
        assert "nullif" in error.message

    def test_max_rows(self, desk: Desk) -> None:
        """So many are an output, not one more; those behind are not even made."""
        assert 5 == len(desk.rows("SELECT * FROM range(5)", max_rows=5))
        error = desk.failure("SELECT * FROM range(1000000000000)", max_rows=5)
        assert ("DuckDB.TooManyRows", False) == (error.code, error.retryable)
        assert "more than 5 rows" in error.message

    def test_no_rows(self, desk: Desk) -> None:
        """Are an output, too."""
        assert {"rows": [], "count": 0} == desk.output(sql="SELECT 1 AS a WHERE false")


def test_the_plugin_imports_no_duckdb() -> None:
    """Whoever has installed it and asks nothing pays nothing."""
    program = (
        "import sys, bunsui, bunsui_duckdb\n"
        "bunsui.Plugins([bunsui_duckdb], autoload=False).job_types\n"
        "print('duckdb' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "False\n" == done.stdout
