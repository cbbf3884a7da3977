"""Words for people: one line that says what changed, where, and what is usual."""

from sentinel.model.incident import Evidence, Incident

_NOUN = {
    "latency_ms": "answers take {seen} (usually {usual})",
    "ttft_ms": "the first token takes {seen} (usually {usual})",
    "prompt_tokens": "prompts have {seen} tokens (usually {usual})",
    "completion_tokens": "answers have {seen} tokens (usually {usual})",
    "total_tokens": "a call uses {seen} tokens (usually {usual})",
    "cost_usd": "a call costs {seen} (usually {usual})",
    "tokens_per_second": "answers come at {seen} tokens a second (usually {usual})",
    "error": "{seen} of calls fail (usually {usual})",
}
_RECORD = {
    "latency_ms": "one answer took {seen} (usually {usual})",
    "ttft_ms": "one first token took {seen} (usually {usual})",
    "prompt_tokens": "one prompt had {seen} tokens (usually {usual})",
    "completion_tokens": "one answer had {seen} tokens (usually {usual})",
    "total_tokens": "one call used {seen} tokens (usually {usual})",
    "cost_usd": "one call cost {seen} (usually {usual})",
    "tokens_per_second": "one answer came at {seen} tokens a second (usually {usual})",
}


def say(value: float, unit: str) -> str:
    """Return a quantity as people write it.

    >>> say(14_230.0, "ms"), say(0.2406, "ratio"), say(0.00042, "usd"), say(1_234_567.0, "tokens")
    ('14.2 s', '24 %', '$0.00042', '1,234,567')
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


def title_of(service: str, model: str, evidence: Evidence) -> str:
    """Return the title line: it must stand alone on a locked phone."""
    phrases = _RECORD if evidence.test == "record" else _NOUN
    unit = evidence.observed.unit
    phrase = phrases[evidence.metric].format(
        seen=say(evidence.observed.value, unit), usual=say(evidence.expected.value, unit)
    )
    return f"{service} / {model}: {phrase}"


def ending_of(incident: Incident) -> str:
    """Return what became of an incident that ended."""
    assert incident.ended_at is not None, "only an incident that ended has an ending"
    span = say_span((incident.ended_at - incident.started_at).total_seconds())
    hits, calls = incident.impact.hits, incident.impact.calls
    what = "failed calls" if incident.metric == "error" else "strange calls"
    ending = f"after {span} · {hits:,} {what} of {calls:,}"
    if incident.metric == "error":
        return ending
    return f"{ending}, peak {say(incident.peak, incident.observed.unit)}"
