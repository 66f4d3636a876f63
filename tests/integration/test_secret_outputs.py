"""Jobs that give a secret back, or have one in the fields of their type."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui import Job, Pipeline, Runner, current_call

#: What is looked for: it survives quoting of every kind.
CORE = "Zq7kVw3xPnT"
#: The secret, with all that makes writers quote.
CANARY = f"p\u00e4\"ss/{CORE}'&\\x y%"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()
CONFIG = {"secrets": {"db": "env:SECRETS_TEST_DB"}}


def forms() -> list[bytes]:
    """What betrays the canary: its core, its hexadecimal digits, and its base64 wherever it begins."""
    found = [CORE, CANARY.encode().hex()]
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + CANARY.encode()).decode()
        found.append(encoded[4:-4])
    return [form.encode() for form in found]


def holds(content: bytes | str) -> bool:
    """Whether something of the canary is in it."""
    content = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return any(form in content for form in forms())


def leaks(folder: Path) -> list[str]:
    """The files below a folder that hold something of the canary."""
    return [path.name for path in folder.rglob("*") if path.is_file() and holds(path.read_bytes())]


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret `db` is the canary."""
    monkeypatch.setenv("SECRETS_TEST_DB", CANARY)


def run(folder: Path, function: Callable[..., Any], config: Any = None, **fields: Any) -> Any:
    """The state of a job that is given the secret as `password`."""
    job = Job.from_callable(function, id="a", parameters={"password": "${secrets.db}"}, **fields)
    with Runner(f"sqlite:///{folder}/store.db", config=config or CONFIG, autoload_plugins=False) as runner:
        return runner.run(Pipeline(name="secrets", jobs=[job])).jobs["a"]


RETURNED: dict[str, Callable[[str], Any]] = {
    "itself": lambda password: password,
    "within a text": lambda password: f"db://u:{password}@host",
    "as a key": lambda password: {"a": [{password: 1}]},
    "within a key": lambda password: {f"<{password}>": 1},
    "deep": lambda password: [[{"a": ["b", password]}]],
    "as JSON": lambda password: json.dumps([password]),
    "as JSON in JSON": lambda password: json.dumps({"p": json.dumps(password)}),
    "as JSON, not ASCII": lambda password: json.dumps([password], ensure_ascii=False),
    "in base64": lambda password: base64.b64encode(password.encode()).decode(),
    "in base64 of more": lambda password: base64.b64encode(f"user:{password}:x".encode()).decode(),
    "in base64 for URLs": lambda password: base64.urlsafe_b64encode(f"u:{password}".encode()).decode(),
    "in hexadecimal": lambda password: password.encode().hex(),
    "as a repr": lambda password: f"{password!r}",
    "of its call": lambda password: dict(current_call().parameters),
}


@pytest.mark.usefixtures("secret")
class TestOutputs:
    """A job that returns the secret."""

    @pytest.mark.parametrize("how", RETURNED)
    def test_fails(self, tmp_path: Path, how: str) -> None:
        """With SecretInOutput, for good, and nothing of what it returned is stored."""
        state = run(tmp_path, RETURNED[how], retry=bunsui.RetryPolicy(3, delay=0))
        message = "the job returned the value of a secret (it was given: db)"

        assert ("failed", "SecretInOutput", message, False, 1, None) == (
            state.status,
            state.error.code,
            state.error.message,
            state.error.retryable,
            len(state.attempts),
            state.output,
        )
        assert [] == leaks(tmp_path)
        assert isinstance(state.error.to_error(), bunsui.SecretInOutput)

    @pytest.mark.parametrize("value", [471123, 471123.0, [{"a": 471123}]])
    def test_as_a_number(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
        """A secret of digits is found as a number, too."""
        monkeypatch.setenv("SECRETS_TEST_DB", "471123")
        assert "SecretInOutput" == run(tmp_path, lambda password: value).error.code

    def test_an_item(self, tmp_path: Path) -> None:
        """The item fails, and so does its job; those that returned something else keep it."""
        job = Job.from_callable(
            lambda password, x: x if x else password,
            id="fan",
            for_each=[1, 0],
            parameters={"password": "${secrets.db}", "x": "${item}"},
        )
        with Runner(f"sqlite:///{tmp_path}/store.db", config=CONFIG, autoload_plugins=False) as runner:
            state = runner.run(Pipeline(name="secrets", jobs=[job])).jobs["fan"]

        assert state.error is not None
        assert state.items is not None
        assert ("SecretInOutput", [1, None]) == (state.error.code, [item.output for item in state.items])
        assert [] == leaks(tmp_path)

    @pytest.mark.parametrize("kind", ["process", "command", "lambda"])
    def test_from_a_process(self, tmp_path: Path, kind: str) -> None:
        """As from a thread."""
        (tmp_path / "give.py").write_text(
            "import json, os\n"
            "def same(password):\n    return [password]\n"
            "def handle(event, context):\n    return event\n"
            "if __name__ == '__main__':\n"
            "    json.dump(os.environ['BUNSUI_PARAM_PASSWORD'], open(os.environ['BUNSUI_OUTPUT'], 'w'))\n"
        )
        (tmp_path / "bindings.yaml").write_text("lambda: {f: 'give:handle'}\n")
        job = {
            "process": {"type": "custom", "callable": "give:same", "isolation": "process"},
            "command": {"type": "custom", "command": ["python", "give.py"]},
            "lambda": {"type": "lambda", "function": "f"},
        }[kind]
        job |= {"id": "a", "parameters": {"password": "${secrets.db}"}}
        (tmp_path / "p.json").write_text(json.dumps({"version": "1.0", "name": "p", "jobs": [job]}))
        with Runner(f"sqlite:///{tmp_path}/store.db", config=CONFIG, autoload_plugins=False) as runner:
            error = runner.run(runner.load(tmp_path / "p.json")).jobs["a"].error

        assert error is not None
        assert "SecretInOutput" == error.code
        assert [] == leaks(tmp_path)

    def test_what_only_looks_like_it_is_kept(self, tmp_path: Path) -> None:
        """A job that was given the secret may return anything else."""
        returned = [DIGEST, len(CANARY), CANARY[:5], "***"]
        assert returned == run(tmp_path, lambda password: returned).output


class Typed(bunsui.JobType):
    """A job type with a field that holds a secret."""

    name = "typed"
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "token": {"type": "string", "maxLength": 40, "pattern": "^p"},
            "n": {"type": "integer"},
        },
    }

    def run(self, call: bunsui.JobCall) -> Any:
        """What it was given, in a form that may be shown."""
        assert not holds(repr(call) + str(call) + f"{call!r:>10}")
        return hashlib.sha256(call.options["token"].encode()).hexdigest()


class TypedPlugin:
    @bunsui.hookimpl
    def bunsui_job_types(self) -> list[bunsui.JobType]:
        return [Typed()]


@pytest.mark.usefixtures("secret")
class TestFields:
    """Secrets in the fields of a job's type."""

    def run(self, folder: Path, **options: Any) -> Any:
        job = Job("a", "typed", options)
        store = f"sqlite:///{folder}/store.db"
        with Runner(store, config=CONFIG, plugins=[TypedPlugin()], autoload_plugins=False) as runner:
            return runner.run(Pipeline(name="secrets", jobs=[job])).jobs["a"]

    def test_it_reaches_the_type(self, tmp_path: Path) -> None:
        """And is not shown by the call."""
        assert DIGEST == self.run(tmp_path, token="${secrets.db}").output

    @pytest.mark.parametrize("value", [f"x{CANARY}", "p" + CANARY * 20])
    def test_one_that_does_not_fit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        """InvalidOptions names the secret, and shows nothing of it, not even its beginning."""
        monkeypatch.setenv("SECRETS_TEST_DB", value)
        error = self.run(tmp_path, token="${secrets.db}").error

        message = "the fields of type 'typed' are wrong with the values of secrets in them: db"
        assert ("InvalidOptions", message, False) == (error.code, error.message, error.retryable)
        assert [] == leaks(tmp_path)


def test_a_thread_that_outlives_its_job_still_logs_masked(tmp_path: Path, secret: None) -> None:
    """A logger that was kept goes on taking the value out."""
    go, ended = threading.Event(), threading.Event()

    def work(password: str) -> None:
        logger = current_call().logger

        def later() -> None:
            assert go.wait(30)
            logger.info("late: %s", password)
            ended.set()

        threading.Thread(target=later).start()

    run(tmp_path, work)
    go.set()
    assert ended.wait(30)
    assert [] == leaks(tmp_path)
