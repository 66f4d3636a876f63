"""What holds for every job type holds for this one: bunsui's own suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import ENDLESS

from bunsui.testing import JobTypeSuite
from bunsui_duckdb import DuckDBJobType


class TestDuckDBJobType(JobTypeSuite):
    """Over a file beside the definition."""

    options = {
        "sql": "SELECT region, sum(amount) AS total FROM orders WHERE amount > $least GROUP BY 1 ORDER BY 1",
        "inputs": {"orders": "orders.csv"},
        "max_rows": 10,
        "memory_limit": "500MB",
        "threads": 1,
    }
    parameters = {"least": 1}
    invalid_options = [
        {},
        {"sql": ""},
        {"sql": "SELECT ${least}"},
        {"sql": "SELECT 1", "sql_file": "a.sql"},
        {"sql": "SELECT 1", "inputs": {"a-b": "a.csv"}},
        {"sql": "SELECT 1", "into": "a.docx"},
        {"sql": "SELECT 1", "threads": 0},
    ]
    failing_options = {"sql": "SELECT * FROM nowhere"}
    slow_options = {"sql": ENDLESS}
    #: A value would be code in there.
    literal_fields = {"sql"}

    @pytest.fixture
    def job_type(self, tmp_path: Path) -> DuckDBJobType:
        (tmp_path / "orders.csv").write_text("region,amount\nnorth,2\nsouth,1\nnorth,3\n", encoding="utf-8")
        return DuckDBJobType()


class TestFiles(JobTypeSuite):
    """With a file as output, and with SQL in a file."""

    options = {"sql_file": "all.sql", "inputs": {"orders": ["*.csv"]}, "into": "out.parquet"}
    can_fail = False
    can_cancel = False

    @pytest.fixture
    def job_type(self, tmp_path: Path) -> DuckDBJobType:
        (tmp_path / "orders.csv").write_text("region,amount\nnorth,2\n", encoding="utf-8")
        (tmp_path / "all.sql").write_text("FROM orders;", encoding="utf-8")
        return DuckDBJobType()
