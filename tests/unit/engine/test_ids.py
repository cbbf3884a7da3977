"""Ids are hashes of documented fields in a documented order, and these are some of them."""

from hashlib import blake2b

from scenes.feed import LOG, armed, at, call
from scenes.script import Script, clock_of, each_second, finding
from sentinel.alerting import Grouper, GroupingRules
from sentinel.model.batch import Key
from sentinel.model.identity import fingerprint

ANOMALY = "anom-d453fda34880a49473e6dd69adc9d867"
INCIDENT = "inc-4b76893cc7868109ec3daff2e4262482"
ALERT = "alt-b57eabe16c177e268e93a82189890a11"
FINGERPRINT = "cc8a5191d165b1d4"


def digest(*fields: str | int | None) -> str:
    """Return BLAKE2b-128 over fields, each behind its length."""
    state = blake2b(digest_size=16)
    for field in fields:
        data = b""
        if isinstance(field, str):
            data = field.encode("utf-8")
        elif isinstance(field, int):
            data = field.to_bytes(8, "little", signed=True)
        state.update(len(data).to_bytes(4, "little") + data)
    return state.hexdigest()


SERIES = ("default", "default", "chat", "m", "latency_ms")
POSITION = (LOG, 0, 1000, 0)
"""The slow call: log id, partition, offset, index."""
SLOW = call(1000, latency_ms=2100.0)


def test_the_id_of_an_anomaly_is_the_hash_of_its_position_series_and_detector() -> None:
    feed = armed()
    feed.send(SLOW)
    (found,) = (a for a in feed.anomalies if a.event_id == "call-1000" and a.detector == "zscore")
    assert found.id == "anom-" + digest(*POSITION, *SERIES, "zscore", None)
    assert found.id == ANOMALY


def test_the_id_of_an_incident_is_the_hash_of_that_of_its_first_evidence() -> None:
    feed = armed()
    (opened,) = feed.send(SLOW)
    evidence = digest(*POSITION, *SERIES, "evidence.latency", None)
    assert opened.incident.evidence[0].id == evidence
    assert opened.incident.id == "inc-" + digest(evidence)
    assert opened.incident.id == INCIDENT


def test_what_time_brings_has_no_position_but_the_instant_of_its_bucket() -> None:
    script = Script()
    found = finding("open", "rate", 30, model=None)
    (opened,) = script.play(each_second(0, 60), [found])
    names = ("default", "default", "chat", None, "request_rate")
    evidence = digest(LOG, 0, None, None, *names, "evidence.rate", clock_of(30))
    assert opened.incident.id == "inc-" + digest(evidence)
    about = ("default", "default", "chat", None, "throughput_change", at(30).isoformat())
    assert opened.incident.fingerprint == digest(*about)[:16]


def test_the_id_of_an_alert_is_the_hash_of_its_incident_and_sequence() -> None:
    feed = armed()
    grouper = Grouper(GroupingRules())
    (first,) = grouper.tell(feed.send(SLOW))
    (second,) = grouper.tell(feed.ordinary(1001, 1100))
    assert first.id == "alt-" + digest(first.incident, 1)
    assert second.id == "alt-" + digest(first.incident, 2)
    assert first.id == ALERT


def test_the_fingerprint_is_free_of_the_position() -> None:
    feed = armed()
    feed.send(call(950, event_id="before"))
    (opened,) = feed.send(SLOW)
    expected = digest("default", "default", "chat", "m", "latency_spike", "call-1000")[:16]
    assert opened.incident.fingerprint == expected == FINGERPRINT
    (elsewhere,) = armed().send(SLOW)
    assert elsewhere.incident.fingerprint == FINGERPRINT
    assert elsewhere.incident.id != opened.incident.id


def test_fields_that_join_to_the_same_text_have_other_hashes() -> None:
    one = fingerprint(Key("ab", "c", "d", "e"), "latency_spike", "x")
    two = fingerprint(Key("a", "bc", "d", "e"), "latency_spike", "x")
    assert one != two
