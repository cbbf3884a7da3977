"""Series and subjects as named records, out of the core and back into it."""

from typing import TYPE_CHECKING

from sentinel._core import evidence_records, records, reports
from sentinel.detectors.channels import ARMED_LEVELS, CHANNELS
from sentinel.errors import ForeignState, TornState
from sentinel.model.batch import Key
from sentinel.model.metric import METRICS

if TYPE_CHECKING:
    from sentinel._core.evidence import Evidence
    from sentinel._core.partition import Partition as Core

_EVIDENCE = "evidence"
"""What the name of a subject's record says in the place of the metric."""


def named_records(core: "Core", offset: int, *, since: int) -> list[tuple[bytes, bytes]]:
    """Return name and record of every series and subject that changed at or after T = `since`.

    Parameters
    ----------
    offset : int
        Every event below it has been judged.
    """
    roster, evidence = core.roster, core.evidence
    found = []
    for slot in roster.live_slots(core.clock):
        name = roster.key_of(slot)
        last = reports.last_of(core.bank, slot)
        if name is not None and (last >= since or last == 0):
            key, metric = name
            record = records.save(core.bank, slot, key, offset)
            found.append((_name_of(key, METRICS[metric]), record))
    for subject in evidence.subjects_live(core.clock):
        touched = evidence.touched_at(subject)
        if touched >= since or touched == 0:
            record = evidence_records.save(evidence, subject, offset)
            found.append((_name_of(subject, _EVIDENCE), record))
    return found


def title_of(record: bytes) -> tuple[str, int]:
    """Return the title of what a record is of, and how many samples it has seen."""
    if record[:4] == evidence_records.MAGIC:
        key, _, calls = evidence_records.read(record)
        return _title_of(key, _EVIDENCE), calls
    names, metric, _, n = records.read(record)
    return _title_of(names, METRICS[metric]), n


def _title_of(key: tuple[str | None, ...], of: str) -> str:
    prefix = [part for part in key[:2] if part is not None and part != "default"]
    return "/".join([*prefix, f"{key[2]}:{key[3] or '*'}:{of}"])


_CHANNEL_OF = {
    "latency_ms": "latency",
    "ttft_ms": "ttft",
    "prompt_tokens": "prompt",
    "completion_tokens": "response",
    "cost_usd": "cost",
    "tokens_per_second": "speed",
    "error": "errors",
}
"""The channel that tests a metric; the sum of tokens has none of its own."""


def learning(evidence: "Evidence", key: tuple[str, ...], metric: int) -> str | None:
    """Return how far the tests of a series are, in words; None where there are none."""
    channel = _CHANNEL_OF.get(METRICS[metric])
    learned = evidence.learned((key[0], key[1], key[2], key[3]))
    if channel is None or learned is None:
        return None
    samples = learned[CHANNELS.index(channel)]
    return "armed" if samples >= ARMED_LEVELS else f"learning {samples}/{ARMED_LEVELS}"


def names(core: "Core") -> set[bytes]:
    """Return the names of all series and subjects that are not idle."""
    series = (core.roster.key_of(slot) for slot in core.roster.live_slots(core.clock))
    found = {_name_of(name[0], METRICS[name[1]]) for name in series if name is not None}
    return found | {_name_of(key, _EVIDENCE) for key in core.evidence.subjects_live(core.clock)}


def load(core: "Core", saved: list[bytes], *, elsewhere: bool) -> None:
    """Take up records; `elsewhere`: they are of another log, so nothing of when counts.

    Raises
    ------
    TornState
        A record is not whole.
    ForeignState
        What it is of is here already, or there is no room for it.
    """
    for record in saved:
        try:
            if record[:4] == evidence_records.MAGIC:
                evidence_records.load(core.evidence, record, elsewhere)
                continue
            names, metric, _, _ = records.read(record)
            key = Key(*names)
            if core.roster.slot_of(key, metric) is not None:
                raise ForeignState(f"series {':'.join(key)}:{METRICS[metric]} is here already")
            slot = core.roster.adopt(key, metric)
            records.load(core.bank, slot, record, elsewhere)
        except evidence_records.KnownSubject as error:
            raise ForeignState(f"evidence: {error}") from error
        except (records.BadRecord, evidence_records.BadRecord) as error:
            raise TornState(f"state record: {error}") from error
        except OverflowError as error:
            raise ForeignState(str(error), "raise detection.baseline.max_series") from error


def _name_of(key: tuple[str | None, ...], of: str) -> bytes:
    # A service as a whole has no model, and no name holds a control character.
    return "\0".join("\1" if part is None else part for part in (*key, of)).encode()
