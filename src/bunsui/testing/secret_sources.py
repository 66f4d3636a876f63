"""What every secret source must do, as tests: the clauses of `bunsui.ports.secrets`, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bunsui.testing.secret_source.values import Values
from bunsui.testing.suites import missing


class SecretSourceSuite(Values):
    """Holds for every secret source: derive from it, and give it the fixture `source` and a key.

    Such as::

        import pytest
        from bunsui.testing import SecretSourceSuite


        class TestVault(SecretSourceSuite):
            known = ("database/password", "correct horse")
            unknown = "database/none"

            @pytest.fixture
            def source(self, vault):
                vault.write("database/password", "correct horse")
                return VaultSource(vault.address)

    A key that is known only then is set by the fixture: ``self.known = (str(path), "correct horse")``.
    """

    if not TYPE_CHECKING:

        @pytest.fixture
        def source(self):
            """A source that has the secret of `known`."""
            missing(self, "source", "return MySource(tmp_path)")
