"""Instants: int64 nanoseconds inside, aware datetimes in UTC for people and stores."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(nanoseconds: int) -> datetime:
    """Return an instant from nanoseconds since 1970 UTC, to the microsecond.

    >>> instant(1_500).isoformat()
    '1970-01-01T00:00:00.000001+00:00'
    """
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
