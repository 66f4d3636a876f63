"""AWS for tests: `fake_aws`, `moto_server`, `ministack`, and an environment with nothing of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bunsui_tests.aws.environment import environment, isolate

if TYPE_CHECKING:
    from bunsui_tests.aws.dynamodb_local import DynamoDbLocal
    from bunsui_tests.aws.emulators import Emulator, Ministack, Moto
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


@pytest.fixture(scope="session")
def _dynamodb_local(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DynamoDbLocal]:
    from bunsui_tests.aws.dynamodb_local import DynamoDbLocal, installed

    cache = getattr(request.config, "cache", None)
    # Without a cache, what is next to the temporary folder of this worker is shared by all of a run.
    folder = tmp_path_factory.getbasetemp().parent if cache is None else cache.mkdir("dynamodb-local")
    made = DynamoDbLocal(tmp_path_factory.mktemp("dynamodb"), installed(folder))
    yield made
    made.close()


@pytest.fixture
def dynamodb_local(_dynamodb_local: DynamoDbLocal) -> DynamoDbLocal:
    """AWS's own emulator of DynamoDB, where Java is installed; one for each process of tests.

    It keeps its tables: each test has one of its own.
    """
    return _dynamodb_local


#: moto takes as long as both others together.
_DYNAMODB = ["ministack", "dynamodb_local", *(["moto_server"] if "BUNSUI_DYNAMODB" in os.environ else [])]


@pytest.fixture(params=_DYNAMODB)
def dynamodb_emulator(request: pytest.FixtureRequest, aws_environment: dict[str, str]) -> Emulator:
    """Two emulators of DynamoDB, one after the other; with BUNSUI_DYNAMODB=all moto, too."""
    del aws_environment
    found: Emulator = request.getfixturevalue(request.param)
    return found
