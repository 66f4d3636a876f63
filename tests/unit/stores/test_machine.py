"""The file against a plain dict, step by step: through two handles here and one of another process."""

from __future__ import annotations

import atexit
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule

from bunsui.errors import Conflict
from bunsui.stores.sqlite import SqliteStore
from bunsui_tests.store_machine import StoreMachine, handles

#: How many runs of how many steps. The ordinary run takes a third: all of it lasts a minute and a half.
EXAMPLES, STEPS = (300 if os.environ.get("BUNSUI_FAULTS") == "full" else 40), 50
PROCESS = Path(__file__).resolve().parents[2] / "fixtures" / "store_process.py"


class Remote:
    """The handle of another process, which is started once and opens a store after the other."""

    _process = None

    def __init__(self, path):
        if Remote._process is None:
            Remote._process = subprocess.Popen(
                [sys.executable, PROCESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            atexit.register(self._end, Remote._process)
        self._call("open", path)

    @staticmethod
    def _end(process):
        process.communicate()

    def _call(self, *call):
        pickle.dump(call, Remote._process.stdin)
        Remote._process.stdin.flush()
        answer = pickle.load(Remote._process.stdout)
        if isinstance(answer, Conflict):
            raise answer
        return answer

    def __getattr__(self, method):
        return lambda *arguments: self._call(method, *arguments)


class Stores(StoreMachine):
    """Three handles on one file."""

    def open(self):
        # Without a disk where there is one: what a disk adds is not what is looked for here.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.path = self.folder / "store.db"
        files = {"file": SqliteStore(self.path), "other": SqliteStore(self.path)}
        return {**files, "remote": Remote(self.path)}

    def open_again_as(self, handle):
        del handle
        return SqliteStore(self.path)

    def teardown(self):
        super().teardown()
        shutil.rmtree(self.folder)

    @rule(handle=handles)
    def checkpoint(self, handle):
        self.files[handle].checkpoint()


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
