"""The pipeline in memory: the shop is a stub, the SQL is real."""

from __future__ import annotations

from pathlib import Path

import pytest

import bunsui_duckdb
import bunsui_http
from bunsui.testing import run_pipeline

FOLDER = Path(__file__).resolve().parents[1]
ORDERS = "id,region,amount\n1,0,50\n2,1,30\n3,0,40\n4,1,5\n"
REGIONS = '[{"id": 0, "name": "North"}, {"id": 1, "name": "South"}]'


@pytest.mark.parametrize(("least", "south"), [(0, (2, 35.0)), (10, (1, 30.0))])
def test_small_orders_can_be_left_out(tmp_path: Path, least: int, south: tuple[int, float]) -> None:
    """As the parameter says; regions come by their names, the best one first."""
    for name, text in {
        "pipeline.yaml": (FOLDER / "pipeline.yaml").read_text(encoding="utf-8"),
        "orders.csv": ORDERS,
        "regions.json": REGIONS,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    run = run_pipeline(
        tmp_path / "pipeline.yaml",
        {"base_url": "http://shop.example", "least": least},
        stubs={
            "fetch_orders": {"path": str(tmp_path / "orders.csv")},
            "fetch_regions": {"path": str(tmp_path / "regions.json")},
        },
        plugins=[bunsui_http, bunsui_duckdb],
    ).raise_for_status()

    assert "http://shop.example/orders.csv" == run.calls["fetch_orders"][0].options["url"]
    assert [
        {"region": "North", "orders": 2, "total": 90.0},
        {"region": "South", "orders": south[0], "total": south[1]},
    ] == run.outputs["best"]
