"""AWS for tests: `fake_aws`, `moto_server`, `ministack`, and an environment with nothing of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bunsui_tests.aws.environment import environment, isolate

if TYPE_CHECKING:
    from bunsui_tests.aws.emulators import Ministack, Moto
    from bunsui_tests.aws.endpoint import FakeAws


def pytest_configure() -> None:
    """No test, and nothing that one starts, reads the user's AWS files or asks the metadata service."""
    isolate(os.environ)


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of this process have credentials that are no secret, and a region; what they are.

    Without it they have neither, and there are none to be found.
    """
    made = environment()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def fake_aws() -> Iterator[FakeAws]:
    """An endpoint of our own, new for each test."""
    from bunsui_tests.aws.endpoint import FakeAws

    with FakeAws() as made:
        yield made


@pytest.fixture(scope="session")
def _moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    from bunsui_tests.aws.emulators import Moto

    made = Moto(tmp_path_factory.mktemp("moto"))
    yield made
    made.close()


@pytest.fixture
def moto_server(_moto: Moto) -> Moto:
    """moto's server with nothing in it; one for each process of tests."""
    _moto.reset()
    return _moto


@pytest.fixture(scope="session")
def _ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    from bunsui_tests.aws.emulators import Ministack

    made = Ministack(tmp_path_factory.mktemp("ministack"))
    yield made
    made.close()


@pytest.fixture
def ministack(_ministack: Ministack) -> Ministack:
    """ministack with nothing in it; one for each process of tests."""
    _ministack.reset()
    return _ministack
