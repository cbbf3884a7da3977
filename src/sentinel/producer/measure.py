"""A call of a model, timed: with a block, or around a function, also where it fails."""

import functools
import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, Unpack, cast

from sentinel.model.event import Event
from sentinel.producer.fields import Fields, check_names, event_of
from sentinel.producer.tally import log

F = TypeVar("F", bound=Callable[..., Any])


class Call:
    """One call that is under way; it ends when its block does."""

    def __init__(self, service_name: str, model_name: str, fields: Fields) -> None:
        self._service, self._model = service_name, model_name
        self._fields: Fields = {**fields}
        self._began = time.perf_counter()

    def set(self, **fields: Unpack[Fields]) -> None:
        """Say what has become known: tokens, cost, finish reason, ...; the last word counts."""
        check_names(fields)
        self._fields.update(fields)

    def first_token(self) -> None:
        """Say that an answer has begun to come; of several times the first counts."""
        self._fields.setdefault("ttft_ms", self._elapsed_ms())

    def fail(self, error: BaseException) -> None:
        """Say that the call has failed, where the block itself goes on."""
        self._fields.setdefault("errors", None)
        self._fields["errors"] = [*(self._fields["errors"] or []), describe(error)]

    def event(self) -> Event:
        """Return the event of a call that ends now."""
        return event_of(self._service, self._model, self._elapsed_ms(), self._fields)

    def _elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._began) * 1000, 3)


class Measure:
    """Times one block (`with`, `async with`), or every call of a function (as a decorator).

    Parameters
    ----------
    send : callable
        Takes the event at the end.
    read : callable, optional
        For a decorator: what the result of the function says, such as tokens, as fields.
    """

    def __init__(
        self,
        send: Callable[[Event], object],
        service_name: str,
        model_name: str,
        fields: Fields,
        read: Callable[[Any], Fields] | None,
    ) -> None:
        check_names(fields)
        self._send, self._read = send, read
        self._about = service_name, model_name, fields
        self._call: Call | None = None

    def __enter__(self) -> Call:
        self._call = Call(*self._about)
        return self._call

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._call is not None
        self._end(self._call, error)

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Time every call of a function, or of a coroutine function.

        Raises
        ------
        TypeError
            It is a generator, which has done nothing yet when it returns.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: measure with a block in it")

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._again() as call:
                result = function(*args, **kwargs)
                self._hear(call, result)
            return result

        @functools.wraps(function)
        async def timed_async(*args: Any, **kwargs: Any) -> Any:
            with self._again() as call:
                result = await function(*args, **kwargs)
                self._hear(call, result)
            return result

        return cast(F, timed_async if inspect.iscoroutinefunction(function) else timed)

    def _again(self) -> "Measure":
        """Return another of the same: a function may run many times at once."""
        return Measure(self._send, *self._about, self._read)

    def _hear(self, call: Call, result: Any) -> None:
        if self._read is None:
            return
        try:
            call.set(**self._read(result))
        except Exception:  # what reads is the application's, and its call has succeeded
            log.warning("the result of a call could not be read", exc_info=True)

    def _end(self, call: Call, error: BaseException | None) -> None:
        if error is not None:
            call.fail(error)
        self._send(call.event())


def describe(error: BaseException) -> str:
    """Return what is told of an exception: its name, and the status and code of the answer.

    Its message is not told: it may hold anything, also the prompt.

    >>> describe(TimeoutError("no answer to `who is Ann?`"))
    'TimeoutError'
    """
    said = (getattr(error, name, None) for name in ("status_code", "code"))
    known = [str(word) for word in said if isinstance(word, int | str)]
    return " ".join([type(error).__name__, *known])
