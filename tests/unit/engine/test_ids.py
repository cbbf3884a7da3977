"""Ids are hashes of documented fields in a documented order, and these are some of them."""

from hashlib import blake2b

from scenes.feed import LOG, armed, call, slow
from sentinel.alerting import Grouper, GroupingRules
from sentinel.model.batch import Key
from sentinel.model.identity import fingerprint

ANOMALY = "anom-624adc5c63666be95a05ae18ddedd14b"
INCIDENT = "inc-6eef2cb313c8fc639bdd7b65b6b40148"
ALERT = "alt-5c661447302b53e8634d0ea752d2e6f3"
FINGERPRINT = "8cfa27cc9f76447a"


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
POSITION = (LOG, 0, 202, 0)
"""The third slow call: log id, partition, offset, index."""


def test_the_id_of_an_anomaly_is_the_hash_of_its_position_series_and_detector() -> None:
    feed = armed()
    feed.send(*slow(200, 203))
    (found,) = (a for a in feed.anomalies if a.event_id == "call-202" and a.detector == "zscore")
    assert found.id == "anom-" + digest(*POSITION, *SERIES, "zscore", None)
    assert found.id == ANOMALY


def test_the_id_of_an_incident_is_the_hash_of_that_of_its_first_evidence() -> None:
    feed = armed()
    (opened,) = feed.send(*slow(200, 203))
    evidence = digest(*POSITION, *SERIES, "test.agreement", None)
    assert opened.incident.evidence[0].id == evidence
    assert opened.incident.id == "inc-" + digest(evidence)
    assert opened.incident.id == INCIDENT


def test_the_id_of_an_alert_is_the_hash_of_its_incident_and_sequence() -> None:
    feed = armed()
    grouper = Grouper(GroupingRules())
    (first,) = grouper.tell(feed.send(*slow(200, 203)))
    (second,) = grouper.tell(feed.ordinary(203, 220))
    assert first.id == "alt-" + digest(first.incident, 1)
    assert second.id == "alt-" + digest(first.incident, 2)
    assert first.id == ALERT


def test_the_fingerprint_is_free_of_the_position() -> None:
    feed = armed()
    feed.send(call(200), call(201))
    (opened,) = feed.send(*slow(202, 205))
    expected = digest("default", "default", "chat", "m", "latency_spike", "call-204")[:16]
    assert opened.incident.fingerprint == expected
    (elsewhere,) = armed().send(*slow(200, 203))
    assert elsewhere.incident.fingerprint == FINGERPRINT
    key = Key("default", "default", "chat", "m")
    assert fingerprint(key, "latency_spike", "call-202") == FINGERPRINT


def test_fields_that_join_to_the_same_text_have_other_hashes() -> None:
    one = fingerprint(Key("ab", "c", "d", "e"), "latency_spike", "x")
    two = fingerprint(Key("a", "bc", "d", "e"), "latency_spike", "x")
    assert one != two
