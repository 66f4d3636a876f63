"""What somebody wants to be told of: `AlertRule`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import fields, frozen

from bunsui.model.json import canonical
from bunsui.model.lazy import cached_property

__all__ = ["KINDS", "RUNS", "AlertRule"]

#: Past runs that a rule looks at, where it does not say how many.
RUNS = 20
#: What an alert may be about, with the fields that say more of it; of those in the first part one is needed.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "failure": ((), ("job",)),
    "recovery": ((), ()),
    "duration": (("above", "above_median"), ("runs", "job")),
    "success_rate": (("below",), ("runs",)),
    "stalled": (("after",), ()),
}


@frozen(slots=False, init=False, eq=False)
class AlertRule:
    """When to tell somebody, and by which channels.

    Such as::

        slow = bunsui.AlertRule("duration", "ops", above="2h", silence="1d")
        work = bunsui.Job("work", "custom", command=["true"])
        print(bunsui.Pipeline("Nightly", [work], alerts=[slow]).alerts[0].above)  # 7200
    """

    #: ``failure``, ``recovery``, ``duration``, ``success_rate`` or ``stalled``.
    on: str
    #: The names of the channels, of the runner's configuration.
    channels: tuple[str, ...]
    #: The job that ``failure`` or ``duration`` is about; None: the session as a whole.
    job: str | None = None
    #: Seconds after an alert was sent in which no other one of this rule and pipeline is, by the same
    #: channel; None: each is sent. A `Pipeline` makes seconds of texts such as ``15m``, here and below.
    silence: float | None = None
    #: Seconds that are too long, for ``duration``.
    above: float | None = None
    #: The factor by which more than the median of past runs is too long, for ``duration``.
    above_median: float | None = None
    #: The share of runs that have to succeed, between 0 and 1, for ``success_rate``.
    below: float | None = None
    #: How many runs ``success_rate`` and ``above_median`` look at.
    runs: int = RUNS
    #: Seconds without any movement, for ``stalled``.
    after: float | None = None
    #: The name of the only pipeline that it is for; None: of any. Only rules of a configuration have it.
    pipeline: str | None = None

    def __init__(
        self,
        on: str,
        channel: str | Iterable[str],
        *,
        job: str | None = None,
        silence: float | str | None = None,
        above: float | str | None = None,
        above_median: float | None = None,
        below: float | None = None,
        runs: int = RUNS,
        after: float | str | None = None,
        pipeline: str | None = None,
    ) -> None:
        # Whatever it is, the pipeline says what is wrong with it.
        channels = (channel,) if isinstance(channel, str) or not isinstance(channel, Iterable) else channel
        self.__attrs_init__(
            on=on,
            channels=tuple(channels),
            job=job,
            silence=silence,  # type: ignore[arg-type] # The pipeline makes seconds of a text.
            above=above,  # type: ignore[arg-type] # See above.
            above_median=above_median,
            below=below,
            runs=runs,
            after=after,  # type: ignore[arg-type] # See above.
            pipeline=pipeline,
        )

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, AlertRule) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.on, self.channels, self.job))

    def to_dict(self) -> dict[str, Any]:
        """The rule in the language's shape; what equals its default is left out.

        Such as::

            print(bunsui.AlertRule("failure", ["ops"]).to_dict())  # {'on': 'failure', 'channel': 'ops'}
        """
        channel = self.channels[0] if len(self.channels) == 1 else list(self.channels)
        tree: dict[str, Any] = {"on": self.on, "channel": channel}
        for attribute in fields(AlertRule)[2:]:
            value = getattr(self, attribute.name)
            if value != attribute.default:
                tree[attribute.name] = value
        return tree

    @cached_property
    def id(self) -> str:
        """The same for rules that say the same, wherever they stand: 16 hexadecimal digits."""
        import hashlib  # noqa: PLC0415 - 9 ms that nobody needs who only looks at definitions

        return hashlib.sha256(canonical(self.to_dict()).encode()).hexdigest()[:16]
