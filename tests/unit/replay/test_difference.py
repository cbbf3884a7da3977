"""Two runs: what appears, what vanishes, what changes severity, what is alike."""

from scenes.judged import at, told
from sentinel.replay.difference import differences


def test_what_is_told_otherwise_is_listed_in_order_of_time() -> None:
    before = [
        told(5, fingerprint="worse"),
        told(4, fingerprint="gone"),
        told(1, fingerprint="alike"),
    ]
    after = [
        told(6, fingerprint="new", severity="critical"),
        told(5, fingerprint="worse"),
        told(9, fingerprint="worse", kind="escalate", severity="warning"),
        told(2, fingerprint="alike"),
    ]
    found, alike = differences(before, after)
    assert [(one.change, one.fingerprint) for one in found] == [
        ("vanishes", "gone"),
        ("severity", "worse"),
        ("appears", "new"),
    ]
    severities = [(one.severity_before, one.severity_after) for one in found]
    assert severities == [("info", None), ("info", "warning"), (None, "critical")]
    assert (found[1].timestamp, found[1].service, found[1].model) == (at(5), "chat", "m")
    assert alike == 1


def test_two_equal_runs_do_not_differ() -> None:
    run = [told(1), told(2), told(2, kind="repeat")]
    assert differences(run, run) == ([], 2)
