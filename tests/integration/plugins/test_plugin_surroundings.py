"""Faults of plugins around the work itself, in checks, secret sources and stores; see test_plugin_faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import bunsui
from bunsui.ports.secrets import SecretSource
from bunsui_tests.faulty import Faulty, Service, beside_another, fails, pipeline_of
from bunsui_tests.hostile import FAULTS, JUNK, Evil, Odd, returning, unanswered


class Choosy(Faulty):
    """A job type whose other methods do what a test puts in their place."""

    binding_field: ClassVar[str] = "what"
    schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"what": {"type": "string"}}}

    def __init__(self, **methods: Callable[..., Any]) -> None:
        super().__init__(lambda call: 1)
        self.methods = methods

    def check(self, options: Any, job: Any) -> Any:
        return self.methods["check"](options, job) if "check" in self.methods else []

    def unavailable(self, options: Any) -> Any:
        return self.methods["unavailable"](options) if "unavailable" in self.methods else None


class AsyncChoosy(Choosy):
    """The same, async."""

    async def check(self, options: Any, job: Any) -> Any:
        return []

    async def unavailable(self, options: Any) -> Any:
        return None


NOT_INTERRUPTED = {name: fault for name, fault in FAULTS.items() if name != "KeyboardInterrupt"}
#: Of lists, what is in them is junk.
FINDINGS = {f"a list of {name}": returning(lambda value=value: [value()]) for name, value in JUNK.items()}
FINDINGS |= {
    "a list of pairs": returning(lambda: [("a", "b")]),
    "a list of numbers": returning(lambda: [(1, 2, 3)]),
    "a list of evil texts": returning(lambda: [(Evil("what"), Evil("x"), Evil("y"))]),
}


class TestCheck:
    """What a job type says before anything runs."""

    @pytest.mark.parametrize(
        "fault", [*NOT_INTERRUPTED.values(), *FINDINGS.values()], ids=[*NOT_INTERRUPTED, *FINDINGS]
    )
    def test_check(self, fault: Callable[..., Any]) -> None:
        """That it can't be checked is a problem of the job; all others are reported, too."""
        plugins = bunsui.Plugins([Choosy(check=fault)], autoload=False)
        jobs = "[{id: a, type: faulty, what: x}, {id: b, type: custom}]"
        problems = bunsui.validate(f'version: "1.0"\nname: p\njobs: {jobs}\n', plugins=plugins)
        assert "job-type-failed" in [problem.code for problem in problems]
        assert 2 == len(problems)
        assert all(str(problem) for problem in problems)

    def test_check_that_is_async(self) -> None:
        """The same."""
        plugins = bunsui.Plugins([AsyncChoosy()], autoload=False)
        text = 'version: "1.0"\nname: p\njobs: [{id: a, type: faulty, what: x}]\n'
        (problem,) = bunsui.validate(text, plugins=plugins)
        assert "job 'a': its type failed to check it: TypeError: check() must not be async" == problem.message

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (None, "check() gave NoneType, not a list of (field, code, message)"),
            (["abc"], "what check() found is no list of (field, code, message), each a text"),
            ([("a", "b")], "what check() found is no list of (field, code, message), each a text"),
        ],
    )
    def test_check_that_gives_something_else(self, given: Any, said: str) -> None:
        """What it should have given is said, not what Python could not do with it."""
        plugins = bunsui.Plugins([Choosy(check=lambda options, job: given)], autoload=False)
        text = 'version: "1.0"\nname: p\njobs: [{id: a, type: faulty, what: x}]\n'
        (problem,) = bunsui.validate(text, plugins=plugins)
        assert f"job 'a': its type failed to check it: TypeError: {said}" == problem.message

    @pytest.mark.parametrize(
        "finding", [("nosuch", "x", "y"), ("", "", ""), ("what", "a code\x00", "\ud800")]
    )
    def test_a_finding_of_odd_texts(self, finding: tuple[str, str, str]) -> None:
        """It is a problem all the same."""
        plugins = bunsui.Plugins([Choosy(check=lambda options, job: [finding])], autoload=False)
        text = 'version: "1.0"\nname: p\njobs: [{id: a, type: faulty, what: x}]\n'
        (problem,) = bunsui.validate(text, plugins=plugins)
        assert finding[2] in problem.message

    def test_check_when_the_job_starts(self) -> None:
        """With its references resolved it is checked again: then it is its job that fails."""

        def check(options: Any, job: Any) -> Any:
            if options["what"] == "x":
                raise SystemExit(3)
            return []

        with beside_another(Choosy(check=check)) as runner:
            job = bunsui.Job("a", "faulty", {"what": "${what}"})
            pipeline = bunsui.Pipeline(name="p", parameters=[bunsui.Parameter("what")], jobs=[job])
            session = runner.run(pipeline, {"what": "x"})
            error = session.jobs["a"].error
            assert error is not None
            assert ("failed", "InvalidOptions") == (session.status, error.code)
            assert "succeeded" == runner.run(pipeline, {"what": "y"}).status

    @pytest.mark.parametrize(
        "fault",
        [fault for name, fault in NOT_INTERRUPTED.items() if name != "None"],
        ids=[name for name in NOT_INTERRUPTED if name != "None"],
    )
    def test_unavailable(self, fault: Callable[..., Any]) -> None:
        """Nothing is started, and the error names the type; where it is asked later, its job fails."""
        with beside_another(Choosy(unavailable=fault)) as runner:
            named = bunsui.Pipeline(name="p", jobs=[bunsui.Job("a", "faulty", {"what": "x"})])
            with pytest.raises(bunsui.PluginError, match=r"unavailable\(\) of job type 'faulty'"):
                runner.start(named)
            assert 1 == len(runner.sessions())
            job = bunsui.Job("a", "faulty", {"what": "${what}"})
            later = bunsui.Pipeline(name="p", parameters=[bunsui.Parameter("what")], jobs=[job])
            session = runner.run(later, {"what": "x"})
            error = session.jobs["a"].error
            assert error is not None
            assert ("failed", "PluginError") == (session.status, error.code)

    def test_unavailable_that_is_async(self) -> None:
        """It is no text."""
        with beside_another(AsyncChoosy()) as runner:
            runner.plugins.job_types["faulty"].check = lambda options, job: []  # type: ignore[method-assign]
            pipeline = bunsui.Pipeline(name="p", jobs=[bunsui.Job("a", "faulty", {"what": "x"})])
            with pytest.raises(bunsui.PluginError, match="gave coroutine, neither text nor None"):
                runner.start(pipeline)


class OddlyLost(Service):
    """A service whose word for what is lost can't be had, once it is registered."""

    registered = False

    @property
    def on_lost(self) -> Any:  # type: ignore[override]
        return self._do("on_lost", None) if self.registered else "fail"


@pytest.mark.parametrize(
    "fault",
    [fault for name, fault in FAULTS.items() if name != "a coroutine"],  # It is no method.
    ids=[name for name in FAULTS if name != "a coroutine"],
)
def test_on_lost(fault: Callable[..., Any]) -> None:
    """Where a type does not say what is to be done about an attempt that is lost, somebody is asked."""
    service = OddlyLost(submit=unanswered, find=lambda call: bunsui.CannotTell(), on_lost=fault)
    with beside_another(service) as runner:
        service.registered = True
        session = runner.run(pipeline_of())
        assert ("paused", "unknown-job") == (session.status, session.paused_reason)


class Source(SecretSource):
    """``faulty:``, a secret source that does what a test puts in its place."""

    def __init__(self, get: Callable[[str], Any]) -> None:
        self._get = get

    def get(self, key: str) -> Any:
        return self._get(key)

    @bunsui.hookimpl
    def bunsui_secret_sources(self) -> dict[str, SecretSource]:
        return {"faulty": self}


class AsyncSource(Source):
    """The same, async."""

    async def get(self, key: str) -> Any:
        return self._get(key)


KNOWING = {"parameters": {"password": "${secrets.token}"}}
CONFIG = {"secrets": {"token": "faulty:KEY"}}


class TestSource:
    """A secret source."""

    @pytest.mark.parametrize("kind", [Faulty, Service])
    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_whatever_it_does(self, fault: Callable[..., Any], kind: Any) -> None:
        """The job that needs the secret fails, wherever it runs."""
        job_type = Service() if kind is Service else Faulty(lambda call: 1)
        with beside_another(job_type, Source(fault), config=CONFIG) as runner:
            fails(runner, **KNOWING, retry={"max_attempts": 1})

    def test_one_that_is_async(self) -> None:
        """What it gives is no text."""
        with beside_another(Faulty(lambda call: 1), AsyncSource(str), config=CONFIG) as runner:
            assert "SecretUnavailable" == fails(runner, **KNOWING).code

    def test_a_failure_of_odd_parts_shows_nothing(self) -> None:
        """What the source raised may hold the value: it is in no log, in no way."""

        def get(key: str) -> Any:
            raise Odd("hunter2")

        with beside_another(Faulty(lambda call: 1), Source(get), config=CONFIG) as runner:
            session = runner.run(pipeline_of(**KNOWING))
            assert "failed" == session.status
            assert "hunter2" not in repr([*session.events(), *session.logs()])

    @pytest.mark.parametrize("kind", [Faulty, Service])
    def test_one_that_hangs(self, kind: Any, hang: Callable[..., Any]) -> None:
        """The timeout of the job that needs the secret ends it."""
        job_type = Service() if kind is Service else Faulty(lambda call: 1)
        with beside_another(job_type, Source(hang), config=CONFIG) as runner:
            assert "JobTimeout" == fails(runner, **KNOWING, timeout=0.3).code


class Stores:
    """``faulty://``"""

    def __init__(self, opens: Callable[[str], Any]) -> None:
        self.opens = opens

    @bunsui.hookimpl
    def bunsui_stores(self) -> dict[str, Any]:
        return {"faulty": self.opens}


STORE_FAULTS = {name: fault for name, fault in NOT_INTERRUPTED.items() if name != "one without traceback"}


@pytest.mark.parametrize("fault", STORE_FAULTS.values(), ids=STORE_FAULTS)
def test_a_store_that_can_not_be_opened(fault: Callable[..., Any]) -> None:
    """Nobody gets a Runner on it, nor a traceback of the plugin's alone; other stores can be opened."""
    plugins = [Stores(fault)]
    pipeline = bunsui.Pipeline(name="one", jobs=[bunsui.Job.from_callable(lambda: 1, id="a")])
    with pytest.raises(
        bunsui.PluginError, match=r"plugin 'Stores' (failed to open the store|opened) 'faulty://x'"
    ):
        bunsui.Runner("faulty://x", plugins=plugins, autoload_plugins=False)
    with bunsui.Runner("memory://", plugins=plugins, autoload_plugins=False) as runner:
        assert "succeeded" == runner.run(pipeline).status
