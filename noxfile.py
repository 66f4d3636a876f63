"""What is run before a change lands: ``nox -s tests lint types docs plugins demo``."""

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "types"]
nox.options.default_venv_backend = "venv"


def _install_tests(session: nox.Session) -> None:
    """Bunsui as it stands here, with what its tests need, and its bytecode.

    Tests start processes by the thousand. Where PYTHONDONTWRITEBYTECODE is set, as in many containers, each
    of them would compile all that it imports: two fifths of what it takes.
    """
    session.install("-e", ".[test]")
    session.run("python", "-m", "compileall", "-q", "src", "tests/fixtures", "tests/shared")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, in parallel, with coverage of every branch."""
    _install_tests(session)
    # More of them than there are processors: half of the time tests wait, for processes and for the clock.
    parallel = ["-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal"]
    arguments = session.posargs or [*parallel, "--cov=bunsui", "--cov-report=term", "--cov-fail-under=90"]
    session.run("pytest", *arguments)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and who may import whom."""
    session.install("-e", ".[cli,lint]")
    session.run("ruff", "check", ".")
    session.run("flake8", "src/")
    session.run("black", "--check", "--quiet", "src/", "tests/", "benchmarks/", "examples/", "noxfile.py")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly: the library's own, and what checkers say to the author of a plugin."""
    # Nothing that is checked here needs the emulators and what else other tests do, which take half a minute.
    session.install("-e", ".[types]", "pytest-timeout")
    session.run("mypy")
    session.run("pytest", "-q", "--confcutdir=tests/typing", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """The README and the changelog as the package index renders them."""
    session.install("docutils", "pygments")
    for name in ("README.rst", "CHANGELOG.rst", *map(str, sorted(Path("docs").rglob("*.rst")))):
        with tempfile.TemporaryDirectory() as folder:
            session.run("rst2html", "--strict", "--halt=warning", name, f"{folder}/out.html", silent=True)


@nox.session
def demo(session: nox.Session) -> None:
    """The example, from one command."""
    session.install(".[cli]")
    store = f"sqlite:///{session.create_tmp()}/demo.db"
    session.run(
        "bunsui", "run", "examples/etl/pipeline.yaml", "--local", "-p", "source_bucket=flights",
        "--store", store,
    )  # fmt: skip


@nox.session
def plugins(session: nox.Session) -> None:
    """The example plugins as others have them: from wheels, beside bunsui's own; a pipeline of both."""
    folder = Path("examples", "plugins")
    distributions = [folder / "bunsui-http", folder / "bunsui-duckdb"]
    with tempfile.TemporaryDirectory() as built:
        session.run("pip", "wheel", "--quiet", "--no-deps", "-w", built, ".", *map(str, distributions))
        wheels = {path.name.partition("-")[0]: str(path) for path in Path(built).glob("*.whl")}
        session.install(f"{wheels.pop('bunsui')}[cli]", *wheels.values())
    session.run("bunsui", "plugins")
    session.run("bunsui", "pipeline", "validate", str(folder / "pipeline.yaml"))
    session.install("mypy", "pytest", "pytest-randomly", "pytest-timeout")
    session.run("pytest", "-q", str(folder / "tests"))
    for distribution in distributions:
        with session.chdir(distribution):
            session.run("pytest", "-q")
            session.run("mypy")


@nox.session
def localstack(session: nox.Session) -> None:
    """The tests of AWS on LocalStack, for those who have a token and Docker; see tests/localstack."""
    if not os.environ.get("LOCALSTACK_AUTH_TOKEN"):
        session.skip("LocalStack needs a token in LOCALSTACK_AUTH_TOKEN: see tests/localstack/README.rst")
    if not _has_docker():
        session.skip("LocalStack needs Docker, and 'docker info' fails here")
    session.install("-e", ".[test]")
    compose = ["docker", "compose", "--file", "tests/localstack/docker-compose.yml"]
    env = {"BUNSUI_TEST_AWS_ENDPOINT": "http://127.0.0.1:4566"}
    try:
        session.run(*compose, "up", "--detach", "--wait", external=True)
        session.run("pytest", "-q", "tests/integration/test_aws_integration.py", *session.posargs, env=env)
    finally:
        session.run(*compose, "down", "--volumes", external=True)


def _has_docker() -> bool:
    """Whether there is the command, and a daemon that answers it."""
    command = shutil.which("docker")
    if command is None:
        return False
    try:
        subprocess.run([command, "info"], capture_output=True, check=True, timeout=60)  # noqa: S603 - docker
    except subprocess.SubprocessError:
        return False
    return True


@nox.session
def hostile(session: nox.Session) -> None:
    """All hostile definitions, within the limits themselves; ``-- SEED:COUNT``: these made at random."""
    _install_tests(session)
    seed = session.posargs[0] if session.posargs else f"{secrets.randbelow(10**6)}:3000"
    session.log(f"BUNSUI_FUZZ={seed}")
    env = {"BUNSUI_FUZZ": seed, "BUNSUI_TEST_LIMITS": "1"}
    session.run("pytest", "-q", "-p", "no:randomly", "tests/performance/test_hostile.py", env=env)


@nox.session
def faults(session: nox.Session) -> None:
    """All that can go wrong, at every place where it can; the ordinary run takes samples of it."""
    _install_tests(session)
    arguments = session.posargs or [
        "tests/faults",
        "tests/unit/runner/test_registered.py",
        "tests/unit/stores/test_machine.py",
        "tests/unit/engine/test_machine.py",
        "tests/integration/test_durability.py",
    ]
    env = {"BUNSUI_FAULTS": "full"}
    session.run("pytest", "-q", "-n", "auto", "--timeout", "3600", *arguments, env=env)


@nox.session
def dynamodb(session: nox.Session) -> None:
    """The store in DynamoDB on all emulators, as long as the faults; the ordinary run takes samples of it."""
    _install_tests(session)
    arguments = session.posargs or [
        "tests/unit/stores/test_dynamodb.py",
        "tests/unit/stores/test_dynamodb_machine.py",
    ]
    env = {"BUNSUI_FAULTS": "full", "BUNSUI_DYNAMODB": "all"}
    session.run("pytest", "-q", "-n", "auto", "--timeout", "3600", *arguments, env=env)


@nox.session
def mutants(session: nox.Session) -> None:
    """Safeguards are taken out one at a time: a test turns red for each. ``-- NAME``: only these."""
    session.install("-e", ".[test]")
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """10,000 simulated worlds from a random seed on; ``-- BASE:COUNT``: these."""
    _install_tests(session)
    seeds = session.posargs[0] if session.posargs else f"{secrets.randbelow(10**9)}:10000"
    session.log(f"BUNSUI_SIMULATE={seeds}")
    chosen = "tests/simulation/test_simulation.py::test_every_invariant_holds"
    session.run("pytest", "-q", "-n", "auto", chosen, env={"BUNSUI_SIMULATE": seeds})


@nox.session
def bench(session: nox.Session) -> None:
    """All figures; ``-- -o FILE``: as a page, ``-- --only NAME``: some of them."""
    session.install(".[cli]")
    session.run("python", "benchmarks/report.py", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """50,000 jobs through one runner: memory, descriptors, threads and processes must not grow."""
    session.install(".[cli]")
    session.run("python", "benchmarks/soak.py", *session.posargs)
