"""State and position in Redis, for replicas on many machines: the same contract as on disk.

The fence is a token that an owner draws: an epoch alone could come twice, after a fail-over that
lost its raise.  A sweep is staged in slices and then switched by one short script; what was staged
takes its place in slices again.  Whoever dies before the switch leaves the sweep before it, whoever
dies after it leaves the rest to the next owner.  Beside each blob stands its CRC-32.
"""

import contextlib
import secrets
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Self

from sentinel.checkpoints import redis_scripts as scripts
from sentinel.checkpoints.contract import go_on
from sentinel.checkpoints.rows import Attempt, Loaded, OutboxRow, SeriesRecord
from sentinel.connections.redis import RedisConnection, Script
from sentinel.errors import Fenced, ForeignState, Gap, StateError, TornState

CRASH_POINTS: Final = (
    "commit",
    "committed",
    "stage",
    "switch",
    "apply",
    "delivered",
    "attempt",
)
"""`commit`, `switch`, `delivered` and `attempt` before the script is sent, `committed` after it was
answered, `stage` and `apply` before each slice."""
ANSWER_SECONDS: Final = 3.0
"""How long an answer is waited for, attempts included: the engine judges nothing meanwhile."""
OPEN_SECONDS: Final = 10.0
"""A fail-over takes 2 to 6 s; a start may wait for one."""
SLICE_BYTES: Final = 1 << 20
SLICE_ROWS: Final = 1_000
"""What one script moves at most: a few milliseconds of Redis, which serves others in between."""
PAGE_ROWS: Final = 64
"""Series of 16 KB in a slice."""
RESTAGES: Final = 3
"""Attempts at a sweep whose slices a fail-over lost."""
DOUBTS: Final = 16
"""Commits without an answer that are remembered."""

_BESIDE: Final = struct.Struct("<Iq")
"""Before a record: the CRC-32 of what follows, and the offset."""
_CRC: Final = struct.Struct("<I")


class Place:
    """The keys of one partition, and how they are asked for.

    The partition's name is the hash tag, so that a cluster keeps all of them at one node.
    """

    def __init__(self, connection: RedisConnection, prefix: str, partition: str) -> None:
        self.title = f"{connection.address} {prefix}{partition}"
        self._connection = connection
        self._base = f"{prefix}{{{partition}}}:"

    def keys(self, *parts: str) -> list[str]:
        """Return the names of keys, by what they hold."""
        return [self._base + part for part in parts]

    def ask(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[bytes | str | int] = (),
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """Return what a script answers; `StateError` where there is no answer for now."""
        return self._connection.ask(script.call(keys, args), seconds=seconds)

    def outbox(self, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, in order of their commits."""
        if limit < 1:
            return []
        found = self.ask(scripts.OUTBOX, self.outbox_keys(destination), (limit - 1,))
        return [
            OutboxRow(name.decode(), destination, self.whole(blob, f"outbox row {name.decode()}"))
            for name, blob in _paired(found)
        ]

    def outbox_keys(self, destination: str) -> list[str]:
        """Return the keys of a destination: which rows wait, and their bodies."""
        return self.keys(f"waiting:{destination}", f"bodies:{destination}")

    def shared(self) -> bytes | None:
        """Return the shared state, or None where no sweep brought one; in slices."""
        parts: list[bytes] = []
        while not parts or len(parts[-1]) == SLICE_BYTES:
            first = len(parts) * SLICE_BYTES
            bounds = (first, first + SLICE_BYTES - 1)
            parts.append(self.ask(scripts.SHARED, self.keys("shared"), bounds))
        blob = b"".join(parts)
        return self.whole(blob, "the shared state") if blob else None

    def pages(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield names and blobs of the series, ordered by name."""
        after = b"-"
        while True:
            keys = self.keys("names", "series")
            page = _paired(self.ask(scripts.SERIES, keys, (after, PAGE_ROWS)))
            if not page:
                return
            yield page
            after = b"(" + page[-1][0]

    def whole(self, blob: bytes, what: str) -> bytes:
        """Return a body without its checksum; `TornState` where that differs."""
        body = blob[_CRC.size :]
        if len(blob) < _CRC.size or zlib.crc32(body) != _CRC.unpack_from(blob)[0]:
            raise TornState(f"{self.title}: the checksum of {what} differs")
        return body


def record_of(name: bytes, blob: bytes) -> SeriesRecord | None:
    """Return the record of a series; None: its checksum differs."""
    if len(blob) < _BESIDE.size or zlib.crc32(blob[_CRC.size :]) != _CRC.unpack_from(blob)[0]:
        return None
    return SeriesRecord(name, _BESIDE.unpack_from(blob)[1], blob[_BESIDE.size :])


class RedisCheckpoint:
    """One owner's hold on the state of one partition: see `contract.Checkpoint`.

    Attributes
    ----------
    epoch : int
        Ours; whoever opens the state next has a higher one, but for a Redis that lost its last
        second: the token beside it is what decides.
    """

    def __init__(
        self, place: Place, log_id: str, crash_point: Callable[[str], None] = go_on
    ) -> None:
        self.log_id = log_id
        self.epoch = 0
        self._place = place
        self._crash_point = crash_point
        self._token = secrets.token_hex(8)
        self._numbers = 0
        self._outbox_bytes = 0
        self._doubts: list[tuple[str, frozenset[tuple[str, str]]]] = []
        """Commits that were sent and not answered: their ids, and the rows that they held."""
        self._mover: threading.Thread | None = None
        self._committing, self._sweeping = threading.Lock(), threading.Lock()

    def raise_fence(self) -> Self:
        """Take hold of the state, and finish what its last owner had switched and not moved."""
        args = (self._token, scripts.FORMAT_VERSION, self.log_id)
        keys = self._place.keys("stand")
        word, rest, *more = self._place.ask(scripts.OPEN, keys, args, seconds=OPEN_SECONDS)
        said = rest.decode()
        if word == b"format":
            raise ForeignState(
                f"{self._place.title}: format is {said}, expected {scripts.FORMAT_VERSION}",
                "start the version that wrote it, or give storage.redis.key_prefix another value "
                "to start cold",
            )
        if word == b"log":
            raise ForeignState(f"{self._place.title}: log id is {said}, expected {self.log_id}")
        self.epoch, self._outbox_bytes = int(said), int(more[0])
        self._apply()
        return self

    def load(self) -> Loaded | None:
        """Return what was committed last, or None where nothing was."""
        stands = self._stands()
        if stands is None:
            return None
        return Loaded(next_offset=stands, shared=self._place.shared(), epoch=self.epoch)

    def committed_to(self) -> int:
        """Return the position of the last commit; 0 where there was none."""
        return self._stands() or 0

    def _stands(self) -> int | None:
        stands = self._place.ask(scripts.STAND, self._place.keys("stand"))[0]
        return None if stands is None else int(stands)

    def commit(self, base: int, next_offset: int, outbox: Sequence[OutboxRow] = ()) -> None:
        """Move position and outbox on together."""
        if next_offset < base:
            raise Gap(f"{self._place.title}: commit of {base} to {next_offset}")
        with self._committing:
            self._point("commit")
            if self._doubts:
                # Nothing more is sent into the dark.
                self._stands()
            number = self._number()
            held = frozenset(row[:2] for row in outbox)
            before = frozenset[tuple[str, str]]().union(*(rows for _, rows in self._doubts))
            places: dict[str, int] = {}
            keys = self._place.keys("stand")
            args: list[bytes | str | int] = [number, base, next_offset, len(self._doubts)]
            args += [doubt for doubt, _ in self._doubts]
            for row in outbox:
                if row.destination not in places:
                    places[row.destination] = len(keys) + 1
                    keys += self._place.outbox_keys(row.destination)
                known = int(row[:2] in before)
                args += [places[row.destination], row.id, known, _with_crc(row.body)]
            self._doubts = [*self._doubts, (number, held)][-DOUBTS:]
            self._outbox_bytes = int(self._write(scripts.COMMIT, keys, args)[1])
            self._doubts = []
        self._point("committed")

    # Series

    def sweep(
        self,
        records: Sequence[SeriesRecord],
        gone: Sequence[bytes] = (),
        *,
        shared: bytes | None = None,
    ) -> None:
        """Write the records of series that changed, and forget those that are gone."""
        staged: dict[bytes, bytes] = {name: _packed(at, record) for name, at, record in records}
        staged |= dict.fromkeys(gone, b"")
        blob = b"" if shared is None else _with_crc(shared)
        ahead = max((offset for _, offset, _ in records), default=0)
        with self._sweeping:
            for _ in range(RESTAGES):
                if self._swept(staged, blob, ahead):
                    break
            else:
                raise StateError(f"{self._place.title}: what was staged is gone, again and again")
        # The sweep holds: who judges need not wait until all of it lies where it belongs.
        self._mover = threading.Thread(target=self._move, name="redis-sweep", daemon=True)
        self._mover.start()

    def _move(self) -> None:
        with self._sweeping, contextlib.suppress(StateError):
            # What is left of it is moved by the next sweep, or by the next owner.
            self._apply()

    def _swept(self, staged: dict[bytes, bytes], shared: bytes, ahead: int) -> bool:
        """Stage a sweep and switch to it; False: Redis lost some of what was staged."""
        place, number = self._place, self._number()
        keys = place.keys("stand", "staged", "staged-shared", "shared")
        while self._write(scripts.BEGIN, keys[:3], (number,))[0] == b"pending":
            self._apply()
        for first in range(0, len(shared), SLICE_BYTES):
            self._point("stage")
            part = shared[first : first + SLICE_BYTES]
            self._write(scripts.STAGE_SHARED, [keys[0], keys[2]], (first, part))
        for slice_ in _slices(staged.items()):
            self._point("stage")
            if self._write(scripts.STAGE, keys[:2], [number, *slice_])[0] == b"lost":
                return False
        self._point("switch")
        args = (number, len(staged), len(shared), ahead)
        return bool(self._write(scripts.SWITCH, keys, args)[0] == b"ok")

    def _apply(self) -> None:
        """Move what was switched to its place."""
        keys = self._place.keys("stand", "staged", "series", "names")
        word, cursor = b"more", b"0"
        while word == b"more":
            self._point("apply")
            word, cursor = self._write(scripts.APPLY, keys, (cursor, PAGE_ROWS))

    def series(self, torn: Callable[[bytes], None] | None = None) -> Iterator[SeriesRecord]:
        """Yield the series records, ordered by name; sweeps may go on meanwhile."""
        with self._sweeping:
            self._apply()
        for page in self._place.pages():
            for name, blob in page:
                record = record_of(name, blob)
                if record is not None:
                    yield record
                elif torn is None:
                    text = f"{self._place.title}: the checksum of series {name!r} differs"
                    raise TornState(text)
                else:
                    torn(name)

    # Outbox

    @property
    def outbox_bytes(self) -> int:
        """Bytes of the bodies that wait, as of the last answer."""
        return self._outbox_bytes

    def outbox(self, destination: str, limit: int) -> list[OutboxRow]:
        """Return the rows of a destination that wait longest, in order of their commits."""
        return self._place.outbox(destination, limit)

    def delivered(self, ids: Sequence[str], destination: str) -> None:
        """Delete rows that a destination has confirmed."""
        self._point("delivered")
        keys = [*self._place.keys("stand"), *self._place.outbox_keys(destination)]
        self._outbox_bytes = int(self._write(scripts.DELIVERED, keys, ids)[1])

    # Positions that stop the process

    def attempt(self, offset: int) -> int:
        """Take note that judging goes on at a position; return how often it did so far."""
        self._point("attempt")
        keys = self._place.keys("stand")
        return int(self._write(scripts.ATTEMPT, keys, (self._number(), offset))[1])

    def attempted(self) -> Attempt | None:
        """Return the last note that no commit has passed."""
        offset, count = self._place.ask(scripts.ATTEMPTED, self._place.keys("stand"))
        return None if offset is None else Attempt(int(offset), int(count))

    def close(self) -> None:
        """Let the state go; the connection is others' too."""
        if self._mover is not None:
            self._mover.join()

    # Asking

    def _number(self) -> str:
        self._numbers += 1
        return f"{self._token}:{self._numbers}"

    def _point(self, name: str) -> None:
        try:
            self._crash_point(name)
        except OSError as error:
            raise StateError(f"{self._place.title}: {error}") from error

    def _write(
        self, script: Script, keys: Sequence[str], args: Sequence[bytes | str | int]
    ) -> list[Any]:
        """Return what a script answers to the owner."""
        said: list[Any] = self._place.ask(script, keys, [self._token, *args])
        if said[0] == b"fenced":
            if not said[1]:
                raise Gap(
                    f"{self._place.title}: the state is gone",
                    "Redis was emptied, or lost what it had: the next start is a cold one",
                )
            raise Fenced(f"{self._place.title}: epoch is {int(said[1])}, ours {self.epoch}")
        if said[0] == b"gap":
            stands = said[1].decode() or None
            raise Gap(f"{self._place.title}: stands at {stands}, and not where it was expected")
        return said


def _paired(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _with_crc(body: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(body)) + body


def _packed(offset: int, record: bytes) -> bytes:
    return _with_crc(struct.pack("<q", offset) + record)


def _slices(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[list[bytes]]:
    """Yield names and blobs, flat, as much at once as a script may take."""
    part: list[bytes] = []
    size = 0
    for name, blob in rows:
        part += (name, blob)
        size += len(name) + len(blob)
        if size >= SLICE_BYTES or len(part) >= 2 * SLICE_ROWS:
            yield part
            part, size = [], 0
    if part:
        yield part
