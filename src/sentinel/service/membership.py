"""Who holds which partitions: what is opened when one is assigned, and let go when one is revoked.

A partition starts where its snapshot stands, never where the broker thinks it does.  Its fence is
raised before anything is read, so whoever had it can write no more.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from msgspec import Struct

from sentinel.checkpoints.contract import Checkpoint, Checkpoints
from sentinel.connections.kafka import Chunk, Group, Place, Trouble
from sentinel.engine import Partition, Rules
from sentinel.errors import Fenced, ForeignState, StateError
from sentinel.intake import Intake, Signal
from sentinel.service.dead_letters import DeadLetters
from sentinel.service.engine_loop import EngineLoop
from sentinel.service.outlet import ToGrouping
from sentinel.service.owner import Owner, Parts
from sentinel.service.placing import Placing
from sentinel.service.recovery import take_up
from sentinel.service.topic_reader import Done, TopicReader
from sentinel.service.work import Told
from sentinel.settings import Settings
from sentinel.settings.middle import engine_rules, grouping_rules
from sentinel.stores.duckdb import DuckDbStore
from sentinel.vitals.inventory import Vitals
from sentinel.vitals.logs import log

STOPS_MAX: Final = 2
"""A position that has stopped the process so often is passed."""
OPEN_SECONDS: Final = 60.0
"""How long the state of a partition may be out of reach when it is taken: the group is kept."""
RETRY_SECONDS: Final = 0.5
REST_SECONDS: Final = 30.0
"""How long partitions may wait for one that was taken over to be judged again."""
RELEASE_SECONDS: Final = 30.0
"""How long letting go in order may take; who is slower is fenced by the next owner."""


def name_of(place: Place) -> str:
    """Return the name under which the state of a partition is kept."""
    return f"{place.topic}-{place.partition}"


class Held(Struct):
    """A partition that is ours."""

    place: Place
    owner: Owner
    checkpoint: Checkpoint
    letters: DeadLetters
    next_offset: int
    """Of the message that is awaited: earlier ones were handed over before."""
    heard_at: float
    """When the last message came, by the monotonic clock."""
    shown: int = -1
    since: float = 0.0
    """When it was taken, by the monotonic clock."""
    is_agreed: bool = False
    """Whether it was asked to judge by our rules, where it does not."""


class Around(Struct, frozen=True, kw_only=True):
    """What a membership works with."""

    settings: Settings
    cluster_id: str
    counts: dict[str, int]
    """Partitions of each topic when the process began."""
    checkpoints: Checkpoints
    store: DuckDbStore
    engine: EngineLoop
    vitals: Vitals
    intake_of: Callable[[Place, str], Intake]
    """For a partition and the id of its log."""
    letters_of: Callable[[Place], DeadLetters]
    publish: Callable[[Told], None]
    committed: Callable[[], None]
    changed: Callable[[], None]
    """Told that other partitions are held, on the source's thread."""
    rejoin: Callable[[], None]
    """Asks the source to leave the group and join it again."""
    crash_point: Callable[[str], None]


class Membership:
    """Serves the source: opens, feeds and lets go of owners."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._settings = around.settings
        self.held: dict[Place, Held] = {}
        """Replaced, never changed: safe to read."""
        self.waiting: dict[str, Done] = {}
        """Who waits for which control, by its id."""
        self.rules: Rules = engine_rules(around.settings)
        self.placing = Placing(around.vitals)

    # Serves the source, on its thread

    def assigned(self, group: Group, places: list[Place]) -> dict[Place, int]:
        """Open the state of partitions and return where each starts.

        One that somebody else opens meanwhile is left out.  Who of the two it belongs to is not
        ours to say: the group does when we join it again.
        """
        self._around.vitals.kafka_rebalances.labels("assigned").inc()
        start = {}
        for place in places:
            try:
                held = self._taken(group, place)
            except Fenced as error:
                self._around.vitals.fenced.inc()
                log.warning("partition.given_up", partition=str(place), error=str(error))
                self._around.rejoin()
                continue
            self.held = {**self.held, place: held}
            self._around.engine.own(held.owner)
            start[place] = held.next_offset
            log.info(
                "partition.assigned",
                partition=str(place),
                epoch=held.checkpoint.epoch,
                starts_at=held.next_offset,
                committed_to=held.owner.committed_to,
            )
        self._around.changed()
        return start

    def revoked(self, places: list[Place]) -> None:
        """Commit what was judged, and let go."""
        self._let_go(places, "revoked", keep=True)

    def lost(self, places: list[Place]) -> None:
        """Drop what somebody else has by now."""
        self._let_go(places, "lost", keep=False)

    def take(self, chunks: list[Chunk]) -> None:
        """Hand over what is new of the partitions that are held."""
        now = time.monotonic()
        for chunk in chunks:
            self._around.vitals.kafka_consumed.labels(chunk.place.topic).inc(chunk.size)
            held = self.held.get(chunk.place)
            part = None if held is None else chunk.since(held.next_offset)
            if held is None or part is None:
                continue
            held.next_offset, held.heard_at = part.offsets[-1] + 1, now
            self._around.engine.put(held.owner, [part])

    def resting(self) -> set[Place]:
        """Return the partitions that are to wait: all where as much waits for us as may.

        Else, while partitions that were taken over are judged again, those that were not: nobody
        has looked at the others since their owner died.
        """
        if self._is_full():
            return set(self.held)
        now = time.monotonic()
        behind = {
            place
            for place, held in self.held.items()
            if held.owner.judged_to < held.owner.parts.told_until
            and now - held.since < REST_SECONDS
        }
        return self.held.keys() - behind if behind else set()

    def _is_full(self) -> bool:
        kafka = self._settings.ingestion.kafka
        assert kafka is not None, "there is no membership without"
        around = self._around
        return (
            around.engine.waiting_bytes >= kafka.max_waiting_bytes
            or around.store.is_behind
            or bool(around.engine.stuck)
            or any(held.letters.are_many for held in self.held.values())
        )

    def meet(self, trouble: Trouble) -> None:
        """Count what went wrong; an offset that is not kept any more is looked after."""
        self._around.vitals.kafka_errors.labels(trouble.reason).inc()
        if trouble.out_of_range:
            log.error("kafka.offset_out_of_range", partition=str(trouble.place))
            self._around.rejoin()
        if trouble.fatal:
            raise StateError(f"kafka: {trouble.reason}", "the client cannot go on")

    def look(self, group: Group) -> None:
        """Show how far we are, to the brokers and in metrics."""
        positions = {}
        for place, held in self.held.items():
            end = group.end(place)
            if end is not None:
                lag = max(0, end - held.owner.judged_to)
                self._around.vitals.kafka_lag.labels(place.topic, str(place.partition)).set(lag)
            committed = held.owner.committed_to
            if committed != held.shown:
                positions[place] = held.shown = committed
        group.show_positions(positions)

    # Opening and letting go

    def _taken(self, group: Group, place: Place) -> Held:
        """Open a partition; where its state cannot be reached for now, again and again."""
        around = self._around
        log_id = f"{around.cluster_id}/{place.topic}"
        deadline = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                with ExitStack() as undo:
                    checkpoint = around.checkpoints.open(
                        name_of(place), log_id=log_id, crash_point=around.crash_point
                    )
                    undo.callback(checkpoint.close)
                    held = self._opened(group, place, checkpoint, log_id)
                    undo.pop_all()
                    return held
            except StateError as error:
                if type(error) is not StateError or time.monotonic() >= deadline:
                    raise
                log.warning("partition.not_opened", partition=str(place), error=str(error))
            time.sleep(RETRY_SECONDS)

    def _opened(self, group: Group, place: Place, checkpoint: Checkpoint, log_id: str) -> Held:
        around = self._around
        partition = Partition(self.rules, log_id, place.partition)
        outlet = ToGrouping(grouping_rules(self._settings))
        loaded = checkpoint.load()
        told_until = take_up(checkpoint, partition, outlet).told_until
        bounds = group.bounds(place)
        if loaded is None:
            told_until = self._first_of(group, place, bounds)
            checkpoint.commit(told_until, told_until)
        is_new = loaded is None or loaded.shared is None
        if is_new:
            partition.pass_over(told_until)
        self._check_bounds(place, partition, told_until, bounds)
        letters = around.letters_of(place)
        attempt = checkpoint.attempted()
        skipped = attempt.offset if attempt is not None and attempt.count >= STOPS_MAX else None
        reader = TopicReader(
            around.intake_of(place, log_id),
            around.vitals,
            told_until=told_until,
            skipped=skipped,
            passed=lambda: owner.keep_soon(),
            refused=letters.write,
            place=place,
            placing=self.placing,
            waiting=self.waiting,
            signal=self._signal,
            otlp=self._is_otlp,
        )
        owner = Owner(
            Parts(
                partition=partition,
                outlet=outlet,
                checkpoint=checkpoint,
                store=around.store.log(f"{log_id}/{place.partition}"),
                vitals=around.vitals,
                votes_of_incidents_only=self._settings.storage.anomalies == "incidents",
                told_until=told_until,
                suspect=None if attempt is None else attempt.offset,
                passed=letters.are_safe,
                is_split=self.placing.is_split,
            ),
            snapshot_secs=self._settings.detection.baseline.update_interval_secs,
            publish=around.publish,
            committed=around.committed,
            read=reader.read,
            crash_point=around.crash_point,
        )
        if is_new:
            owner.begin()
        now = time.monotonic()
        return Held(place, owner, checkpoint, letters, owner.judged_to, now, since=now)

    @property
    def _signal(self) -> Signal:
        kafka = self._settings.ingestion.kafka
        return "logs" if kafka is not None and kafka.encoding == "otlp_logs" else "traces"

    @property
    def _is_otlp(self) -> bool:
        kafka = self._settings.ingestion.kafka
        return kafka is not None and kafka.encoding != "json"

    def _first_of(self, group: Group, place: Place, bounds: tuple[int, int]) -> int:
        """Return where a partition without saved state starts."""
        low, high = bounds
        kafka = self._settings.ingestion.kafka
        assert kafka is not None, "there is no membership without"
        vitals = self._around.vitals
        known = self._around.counts.get(place.topic, 0)
        if 0 < known <= place.partition:
            # Made since the process began: all that it holds is of now.
            vitals.state_losses.labels("partitions_added").inc()
            log.error(
                "kafka.partitions_added",
                partition=str(place),
                partitions_before=known,
                means="keys lie elsewhere from now on: their services learn anew",
            )
            return low
        if group.shown_position(place) is not None:
            vitals.state_losses.labels("wiped").inc()
            log.error(
                "kafka.state_missing",
                partition=str(place),
                means="the group has been here, and its state is gone: a cold start",
                starts_at=kafka.auto_offset_reset,
            )
        return low if kafka.auto_offset_reset == "earliest" else high

    def _check_bounds(
        self, place: Place, partition: Partition, told_until: int, bounds: tuple[int, int]
    ) -> None:
        low, high = bounds
        if told_until > high:
            raise ForeignState(
                f"{place}: the topic ends at {high:,}, the state stands at {told_until:,}",
                "the topic was made anew: move the state of its partitions aside to start cold",
            )
        if partition.next_offset < low:
            self._around.vitals.state_losses.labels("out_of_range").inc()
            log.error(
                "kafka.records_missing",
                partition=str(place),
                stands_at=partition.next_offset,
                begins_at=low,
                lost=max(0, low - told_until),
                means="the topic keeps less than we need: raise its retention",
            )
            partition.pass_over(low)

    def _let_go(self, places: list[Place], kind: str, *, keep: bool) -> None:
        around = self._around
        around.vitals.kafka_rebalances.labels(kind).inc()
        mine = [self.held[place] for place in places if place in self.held]
        done = around.engine.release(
            [held.owner for held in mine], keep=keep, timeout=RELEASE_SECONDS
        )
        self.held = {place: held for place, held in self.held.items() if place not in places}
        for held in mine:
            if done:
                held.checkpoint.close()
            around.vitals.kafka_lag.remove(held.place.topic, str(held.place.partition))
            log.info(f"partition.{kind}", partition=str(held.place), in_time=done)
        around.changed()
