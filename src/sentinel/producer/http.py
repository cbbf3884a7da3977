"""Events to the service by HTTP: NDJSON, until it says that they are on its disk."""

import http.client
import json
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from sentinel.producer.tally import Tally
from sentinel.producer.waiting import Item, Waiting

ANSWER_SECONDS: Final = 10.0
RETRIED: Final = frozenset({408, 429, 502, 503, 504})
"""Answers that say `later`, and not `never`."""
EXPIRE_SECONDS: Final = 540.0
"""The service knows the ids of ten minutes again: what is sent later could be judged twice."""
FIRST_PAUSE_SECONDS: Final = 0.25
LAST_PAUSE_SECONDS: Final = 30.0

_Answer = tuple[int, Mapping[str, str], bytes]


class HttpTransport:
    """One connection that is kept, to one service."""

    def __init__(self, url: str, api_key: str | None, waiting: Waiting, tally: Tally) -> None:
        address = urlsplit(url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else None
        self._connection = (kind or http.client.HTTPConnection)(
            address.hostname or "", address.port, timeout=ANSWER_SECONDS
        )
        self._place = f"{address.scheme}://{address.hostname}:{self._connection.port}"
        self._path = f"{address.path.rstrip('/')}/api/v1/events"
        self._headers = {"Content-Type": "application/x-ndjson"}
        if api_key:
            self._headers["X-API-Key"] = api_key
        self._waiting, self._tally = waiting, tally

    def deliver(self, batch: list[Item]) -> None:
        """Send events until they are answered for; what is lost is counted."""
        body = b"\n".join(item.body for item in batch)
        began = time.monotonic()
        attempt = 0
        while True:
            try:
                answer = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                later, why = 0.0, f"{type(error).__name__} {error}".strip()
            else:
                status = answer[0]
                if status == 413 and len(batch) > 1:
                    half = len(batch) // 2
                    self.deliver(batch[:half])
                    self.deliver(batch[half:])
                    return
                if status not in RETRIED:
                    self._read(answer, len(batch))
                    return
                later, why = _retry_after(answer[1].get("retry-after", "")), f"status {status}"
            self._tally.trouble(f"{self._place}: {why}")
            if time.monotonic() - began + later > EXPIRE_SECONDS:
                self._tally.add_dropped("expired", len(batch), why)
                return
            if not self._waiting.pause(later + _backoff(attempt)):
                self._tally.add_dropped("closed", len(batch), why)
                return
            attempt += 1

    def _post(self, body: bytes) -> _Answer:
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()

    def _read(self, answer: _Answer, count: int) -> None:
        """Count what an answer says: which were taken, and why others were not."""
        status, _, body = answer
        said = _json(body)
        refused = said.get("rejected" if status < 300 else "errors") or []
        if status >= 300 and len(refused) != count:
            detail = str(said.get("detail", ""))
            self._tally.add_dropped(f"http_{status}", count, f"{self._place} {detail}".strip())
            return
        for one in refused:
            self._tally.add_dropped(str(one["code"]), 1, f"at {one['path']}")
        self._tally.add_sent(count - len(refused))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _json(body: bytes) -> dict[str, Any]:
    """Return an answer of the service; of something else in between: nothing."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _backoff(attempt: int) -> float:
    """Return seconds up to which to wait, drawn at random: many senders do not come at once."""
    longest = min(LAST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 10))
    return random.uniform(0, longest)  # noqa: S311, nobody gains by foreseeing it


def _retry_after(text: str) -> float:
    """Return the seconds that an answer asks to wait; 0 where it says nothing that is understood.

    >>> _retry_after("7"), _retry_after("soon"), _retry_after("Thu, 01 Jan 1970 00:00:00 GMT")
    (7.0, 0.0, 0.0)
    """
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
