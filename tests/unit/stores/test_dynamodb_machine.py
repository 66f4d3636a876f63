"""The store in DynamoDB against a plain dict, step by step, on emulators."""

from __future__ import annotations

import itertools
import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from bunsui.stores.dynamodb import SILENT, DynamoDbStore
from bunsui_tests.aws.emulators import Emulator
from bunsui_tests.store_machine import StoreMachine

#: How many runs of how many steps. The ordinary run takes a few: each step is a dozen calls over HTTP.
EXAMPLES, STEPS = (60, 50) if os.environ.get("BUNSUI_FAULTS") == "full" else (2, 30)
_NUMBERS = itertools.count(1)


class Stores(StoreMachine):
    """Three handles on one table."""

    endpoint = ""
    appends_show = False
    silent = SILENT

    def open(self):
        self.url = f"dynamodb://machine-{next(_NUMBERS)}?region=eu-central-1&endpoint_url={self.endpoint}"
        DynamoDbStore(self.url).create()
        return {name: DynamoDbStore(self.url) for name in ("file", "other", "remote")}

    def open_again_as(self, handle):
        del handle
        return DynamoDbStore(self.url)


def test_as_a_dict(dynamodb_emulator: Emulator) -> None:
    """Whatever is done, by whatever handle, it is what a dict would have."""

    class Here(Stores):
        endpoint = dynamodb_emulator.url

    limits = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Here, settings=limits)
