"""What holds for every job type holds for this one: bunsui's own suite."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import Server

from bunsui.testing import JobTypeSuite
from bunsui_http import HttpJobType


class TestHttpJobType(JobTypeSuite):
    """Against the server on loopback."""

    invalid_options = [
        {},
        {"url": 1},
        {"url": "example.com"},
        {"url": "http://example.com", "method": "FETCH"},
        {"url": "http://example.com", "json": 1, "text": "a"},
        {"url": "http://example.com", "expect": []},
        {"url": "http://example.com", "max_bytes": 0},
    ]

    @pytest.fixture
    def job_type(self, server: Server) -> HttpJobType:
        def ok(handler: Any) -> None:
            handler.answer(200, b'{"rows": [1, 2]}', Content_Type="application/json")

        def silent(handler: Any) -> None:
            server.ended.wait(60)

        server.answers |= {"/ok": ok, "/gone": lambda handler: handler.answer(410), "/silent": silent}
        self.options = {
            "url": server.url("/ok"),
            "method": "POST",
            "headers": {"X-Page": 1},
            "query": {"day": "2026-05-04"},
            "json": {"a": [1]},
            "expect": ["2xx"],
            "read_timeout": 20,
            "idempotency_key": True,
        }
        self.failing_options = {"url": server.url("/gone")}
        self.slow_options = {"url": server.url("/silent")}
        self.secret_options = {
            "url": server.url("/gone?key=${secrets.canary}"),
            "headers": {"Authorization": "Bearer ${secrets.canary}"},
            "query": {"key": "${secrets.canary}"},
        }
        return HttpJobType()
