"""From the bytes of an OTLP request to events, without building its messages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

TARGET_NAMES: Final[tuple[str, ...]]
OUTCOME_NAMES: Final[tuple[str, ...]]

class CallReader:
    """Reads requests of spans and of log records; holds nothing of them, so threads may share it.

    `names`: target -> names of attributes, the best first; `#` in a name stands for any number.
    `words`: operations that are calls of a model, in lower case.  `providers`: old name -> new.
    """

    def __init__(
        self,
        event: type[Any],
        prompt: type[Any],
        response: type[Any],
        *,
        names: Mapping[str, Sequence[str]],
        words: Iterable[str],
        providers: Mapping[str, str],
    ) -> None: ...
    def read(
        self, message: int, body: bytes
    ) -> (
        tuple[
            list[Any],
            list[tuple[int, int, str | None, str | None, str | None, str | None]],
            list[int],
        ]
        | None
    ):
        """Return events, details of some of them, and counts by outcome; None for no request.

        `message`: traces (0) or logs (1).  A detail: row, start in nanoseconds, and as JSON usage,
        cost, the time of the first token and the parameters of the call.
        """

def count_points(body: bytes) -> tuple[int, int] | None:
    """Return how many data points of metrics tell of calls of models, and how many do not.

    None where the body is no request.
    """
