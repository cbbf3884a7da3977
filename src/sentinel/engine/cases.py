"""A finding of the core, put into words and numbers that people and stores read."""

from collections.abc import Sequence
from typing import Any, Final

from sentinel.detectors import DETECTORS
from sentinel.detectors.channels import CHANNELS, RATE_TESTS
from sentinel.engine.causes import (
    COST,
    CUT_OFF,
    ERRORS,
    LATENCY,
    PROMPT,
    RATE,
    RESPONSE,
    SINGLE,
    SPEED,
    TOLD,
    TTFT,
    USER,
    Subject,
    armed_of,
    direction_of,
    is_level,
    metric_of,
    opening_tests,
)
from sentinel.engine.grading import grade, size_of
from sentinel.engine.rules import NS
from sentinel.model.batch import Batch
from sentinel.model.event import Event
from sentinel.model.identity import hashed, position_fields, series_fields
from sentinel.model.incident import (
    Evidence,
    Example,
    Expected,
    IncidentType,
    Observed,
    Source,
    Statistic,
    Vote,
)
from sentinel.model.instant import instant
from sentinel.model.metric import METRIC_INDEX, METRICS
from sentinel.model.severity import SCORE_MAX

OPENED, CLOSED, ACCEPTED, ALONE = range(1, 5)
"""Kinds of finding, as the core numbers them."""
TESTS_A_CHANNEL = 4
DRIFT_CALLS = 64
"""What takes more calls to be sure of did not jump: the core sees a jump by half within thirty."""
ALIKE = 0.10
"""What is within so much of its usual is not it."""

LINGER_NS = 60 * NS
"""How long what was found explains what comes, where it is not known yet how often calls come."""

Finding = dict[str, Any]
"""What `Evidence.findings` gives."""

_SOURCES: Final[tuple[Source, ...]] = ("own", "model", "global")


def linger_of(finding: Finding) -> int:
    """Return how long, in T, a finding explains what comes."""
    linger: int = finding["linger_ns"]
    return linger or LINGER_NS


def subject_of(finding: Finding) -> Subject:
    """Return whose test it is, within its service."""
    return Subject(finding["channel"], finding["test"], finding["key"][3])


def type_of(finding: Finding) -> IncidentType:
    """Return what kind of incident a finding makes."""
    channel, test = finding["channel"], finding["test"]
    down = direction_of(channel, test) == "down"
    if channel in (LATENCY, TTFT, SPEED):
        drifting = test != SINGLE and finding["hits_of"] > DRIFT_CALLS
        return "latency_drift" if drifting else "latency_spike"
    if channel == PROMPT:
        # Prompts that shrink are what callers do: a template lost its context.
        return "usage_pattern" if down else "token_usage_spike"
    if channel == RESPONSE:
        return "quality_degradation" if down else "token_usage_spike"
    if channel == RATE:
        return "silence" if RATE_TESTS[test] == "silence" else "throughput_change"
    types: dict[int, IncidentType] = {
        COST: "cost_anomaly",
        ERRORS: "error_rate_increase",
        CUT_OFF: "quality_degradation",
    }
    return types.get(channel, "usage_pattern")


def accepted_type_of(channel: int, kind: IncidentType) -> IncidentType:
    """Return what an incident is called once its shift is the new normal."""
    if channel in (LATENCY, TTFT, SPEED):
        return "latency_drift"
    return "model_drift" if channel in (RESPONSE, CUT_OFF) else kind


def example_of(event: Event, channel: int, value: float) -> Example:
    """Return a call to look at."""
    said: float | str | None = value
    if channel == ERRORS:
        said = event.errors[0] if event.errors else None
    elif channel == CUT_OFF:
        said = event.response.finish_reason if event.response else None
    elif not is_level(channel):
        who = event.user_id if channel == USER else event.session_id
        said = None if who is None else str(who)
    assert event.event_id is not None, "a canonical event has an id"
    return Example(
        event_id=event.event_id,
        trace_id=event.trace_id,
        timestamp=event.timestamp,  # type: ignore[arg-type]  # aware, in a canonical event
        value=value if said is None else said,
    )


def example_at(batch: Batch, at: int, finding: Finding) -> Example:
    """Return the call at which a test opened."""
    channel = finding["channel"]
    value = 1.0
    if is_level(channel):
        value = float(batch.values[at, METRIC_INDEX[TOLD[channel].metric]])
    if value != value:
        # Speed may be judged from what else the event says.
        value = finding["observed"]
    return example_of(batch.events[at], channel, value)


def evidence_of(
    finding: Finding,
    log: bytes,
    *,
    position: tuple[int, int] | None = None,
    example: Example | None = None,
    votes: Sequence[Vote] = (),
) -> Evidence:
    """Return the evidence of a test that opened, frozen.

    `position`: of the call at which it did; None where time brought it.
    """
    channel, test, key = finding["channel"], finding["test"], finding["key"]
    metric, detector = metric_of(channel, test), f"evidence.{CHANNELS[channel]}"
    statistic, threshold = finding["statistic"], finding["threshold"]
    size = size_of(channel, test, finding["observed"], finding["usual"])
    first, clock = finding["first"], finding["clock"]
    by_call = position is not None and first["offset"] >= 0
    if position is None:
        identity = position_fields(log, None, None) + series_fields(key, metric, detector, clock)
    else:
        identity = position_fields(log, *position) + series_fields(key, metric, detector)
    return Evidence(
        id=hashed(identity),
        detector=detector,
        test=opening_tests(channel)[test],
        type=type_of(finding),
        metric=metric,
        model=key[3],
        direction=direction_of(channel, test),
        statistic=statistic,
        threshold=threshold,
        score=min(statistic / threshold, SCORE_MAX) if threshold > 0 else SCORE_MAX,
        severity=grade(channel, test, size, whole=key[3] is None),
        observed=Observed(
            value=finding["observed"],
            unit=TOLD[channel].unit,
            hits=finding["hits"],
            n=finding["hits_of"],
        ),
        expected=Expected(
            value=finding["usual"],
            lower=finding["lower"],
            upper=finding["upper"],
            n=finding["n"],
            source=_SOURCES[finding["borrowed"]],
        ),
        first_offset=first["offset"] if by_call else None,
        first_index=first["index"] if by_call else None,
        # A call may end ahead of T; what opens at T has not begun after it.
        started_at=instant(min(first["time"], clock)),
        timestamp=instant(clock),
        example=example,
        votes=list(votes),
    )


def statistics_of(finding: Finding) -> list[Statistic]:
    """Return how far every test was whose channel has seen anything."""
    found = []
    for channel in range(len(CHANNELS)):
        learned, armed = finding["learned"][channel], armed_of(channel)
        if learned <= 0:
            continue
        learning = None if learned >= armed else f"learning {learned}/{armed}"
        for test, name in opening_tests(channel).items():
            found.append(
                Statistic(
                    metric=metric_of(channel, test),
                    test=name,
                    statistic=finding["statistics"][channel * TESTS_A_CHANNEL + test],
                    threshold=finding["threshold"],
                    learning=learning,
                )
            )
    return found


def not_it_of(finding: Finding) -> list[str]:
    """Return what is as usual: no evidence to speak of, and within a tenth of its baseline."""
    found = []
    for channel in range(len(CHANNELS)):
        ratio = finding["ratios"][channel]
        at = channel * TESTS_A_CHANNEL
        loudest = max(finding["statistics"][at + test] for test in opening_tests(channel))
        if channel == finding["channel"] or ratio <= 0 or loudest > finding["threshold"] / 2:
            continue
        if abs(ratio - 1) <= ALIKE:
            percent = round(100 * (ratio - 1))
            found.append(f"{TOLD[channel].noun} {f'{percent:+d} %' if percent else 'same'}")
    return found


def votes_of(verdicts: dict[str, Any], row: int, thresholds: list[float]) -> list[Vote]:
    """Return what each detector that votes on a metric said of one sample."""
    metric = METRICS[int(verdicts["metric"][row])]
    votes = []
    for bit, detector in enumerate(DETECTORS):
        if not int(verdicts["voters"][row]) >> bit & 1:
            continue
        statistic = float(verdicts[detector][row])
        votes.append(
            Vote(
                detector=detector,
                metric=metric,
                statistic=None if statistic != statistic else statistic,
                threshold=thresholds[bit],
                fired=bool(int(verdicts["votes"][row]) >> bit & 1),
            )
        )
    return votes
