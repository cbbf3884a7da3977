"""Words for people: one line that says what changed, where, and what is usual."""

from sentinel.model.incident import Evidence, Incident

_SHIFT = {
    "latency_ms": "answers take {seen} (usually {usual})",
    "ttft_ms": "the first token takes {seen} (usually {usual})",
    "prompt_tokens": "prompts have {seen} tokens (usually {usual})",
    "completion_tokens": "answers have {seen} tokens (usually {usual})",
    "response_length": "answers shrank to {seen} tokens (usually {usual})",
    "cost_usd": "a call costs {seen} (usually {usual})",
    "tokens_per_second": "answers come at {seen} tokens a second (usually {usual})",
    "error_rate": "{seen} of calls fail (usually {usual})",
    "finish_length_rate": "{seen} of answers are cut off (usually {usual})",
    "user_request_share": "one user makes {seen} of the calls (usually at most {usual})",
    "session_share": "one session makes {seen} of the calls (usually at most {usual})",
    "silence": "no calls for {span} (usually {usual})",
}
_CLUSTER = {
    "latency_ms": "some answers take {seen} (usually {usual})",
    "ttft_ms": "some first tokens take {seen} (usually {usual})",
    "prompt_tokens": "some prompts have {seen} tokens (usually {usual})",
    "completion_tokens": "some answers have {seen} tokens (usually {usual})",
    "cost_usd": "some calls cost {seen} (usually {usual})",
}
_SINGLE = {
    "latency_ms": "one answer took {seen} (usually {usual})",
    "ttft_ms": "one first token took {seen} (usually {usual})",
    "cost_usd": "one call cost {seen} (usually {usual})",
}
_BY_TEST = {"cluster": _CLUSTER, "single": _SINGLE}


def say(value: float, unit: str) -> str:
    """Return a quantity as people write it.

    >>> say(14_230.0, "ms"), say(0.2406, "ratio"), say(0.00042, "usd"), say(1_234_567.0, "tokens")
    ('14.2 s', '24 %', '$0.00042', '1,234,567')
    >>> say(540.0, "calls/min"), say(0.2, "calls/min"), say(0.002, "calls/min")
    ('540 a minute', '12 an hour', '2.9 a day')
    """
    if unit == "ms":
        if value >= 120_000:
            return f"{value / 60_000:.1f} min"
        # 999.6 rounded to three digits is a second.
        return f"{value / 1000:.1f} s" if value >= 999.5 else f"{_rounded(value, 3)} ms"
    if unit == "ratio":
        share = 100 * value
        return f"{share:.0f} %" if share >= 10 else f"{_rounded(share, 2)} %"
    if unit == "usd":
        # Two digits that count, and two decimals at the least.
        text = _rounded(value, 2)
        return f"${text}" if len(text.partition(".")[2]) >= 2 and value < 1 else f"${value:,.2f}"
    if unit == "calls/min":
        for times, of in ((1, "a minute"), (60, "an hour")):
            if value * times >= 1:
                return f"{_counted(value * times)} {of}"
        return f"{_counted(value * 1440)} a day"
    return _counted(value)


def _counted(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else _rounded(value, 2)


def _rounded(value: float, digits: int) -> str:
    """Return a number with so many digits that count, never in powers of ten."""
    text = f"{value:.{digits}g}"
    return f"{float(text):.12f}".rstrip("0").rstrip(".") if "e" in text else text


def say_span(seconds: float) -> str:
    """Return a length of time as people write it.

    >>> say_span(48.2), say_span(840), say_span(9000)
    ('48 s', '14 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def say_times(observed: float, usual: float) -> str:
    """Return how many times the usual something is.

    >>> say_times(540, 180), say_times(60, 180), say_times(1, 180), say_times(27, 18)
    ('3x the usual', '33 % of the usual', '0.56 % of the usual', '1.5x the usual')
    """
    times = observed / usual if usual > 0 else 0.0
    if times >= 1:
        return f"{_counted(times)}x the usual"
    return f"{say(times, 'ratio')} of the usual"


def title_of(service: str, evidence: Evidence) -> str:
    """Return the title line: it must stand alone on a locked phone."""
    where = service if evidence.model is None else f"{service} / {evidence.model}"
    return f"{where}: {what_of(evidence)}"


def what_of(evidence: Evidence) -> str:
    """Return what changed, and what is usual."""
    observed, usual = evidence.observed, evidence.expected.value
    seen = say(observed.value, observed.unit)
    if evidence.metric == "request_rate":
        times = say_times(observed.value, usual)
        return f"{times} calls, {seen} (usually {say(usual, observed.unit)})"
    phrases = _BY_TEST.get(evidence.test, _SHIFT)
    span = say_span((evidence.timestamp - evidence.started_at).total_seconds())
    return phrases[evidence.metric].format(seen=seen, usual=say(usual, observed.unit), span=span)


def accepted_title_of(incident: Incident) -> str:
    """Return the title of an incident that became the new normal: what is, and what was."""
    return incident.title.replace("(usually ", "(before ") + ", the new normal"


def ending_of(incident: Incident) -> str:
    """Return what became of an incident that ended."""
    assert incident.ended_at is not None, "only an incident that ended has an ending"
    span = say_span((incident.ended_at - incident.started_at).total_seconds())
    ending = f"after {span}"
    impact, unit = incident.impact, incident.observed.unit
    if incident.metric != "silence":
        what = "failed calls" if incident.metric == "error_rate" else "strange calls"
        counted = f"{impact.hits:,} {what} of {impact.calls:,}"
        ending += f" · {counted}" if unit != "calls/min" else f" · {impact.calls:,} calls"
    if incident.metric not in ("silence", "user_request_share", "session_share"):
        ending += f", peak {say(incident.peak, unit)}"
    return ending + {"accepted": ", the new normal", "silence": ", its calls stopped"}.get(
        incident.ending or "", ""
    )
