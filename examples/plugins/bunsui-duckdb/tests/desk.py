"""A folder with files, and jobs whose definition stands in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bunsui

#: Takes hours.
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3"


@dataclass
class Desk:
    """Where a definition and its files are."""

    runner: bunsui.Runner
    folder: Path

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pipeline(self, **fields: Any) -> bunsui.Pipeline:
        """A pipeline of one job. JSON is YAML."""
        job = {"id": "ask", "type": "duckdb", **fields}
        text = json.dumps({"version": "1.0", "name": "p", "jobs": [job]})
        return self.runner.load(self.file("pipeline.yaml", text))

    def state(self, **fields: Any) -> bunsui.JobState:
        return self.runner.run(self.pipeline(**fields)).jobs["ask"]

    def output(self, **fields: Any) -> Any:
        """The output of a job that succeeds."""
        state = self.state(**fields)
        assert state.error is None, state.error
        return state.output

    def rows(self, sql: str, **fields: Any) -> Any:
        """The rows that a job gives."""
        return self.output(sql=sql, **fields)["rows"]

    def failure(self, sql: str, **fields: Any) -> bunsui.Failure:
        """The error of a job that fails."""
        state = self.state(sql=sql, **fields)
        assert state.error is not None
        return state.error

    def here(self) -> list[str]:
        """The names of the files, but for the definition."""
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.folder)) for path in found if path.name != "pipeline.yaml")
