"""What workers have left behind, against one uninterrupted run over the records as written."""

import json
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
from confluent_kafka import Consumer, TopicPartition

from chaos.kafka_plan import Plan
from sentinel.alerting import Grouper
from sentinel.connections.kafka import Chunk, Place
from sentinel.engine import Partition
from sentinel.intake import Intake
from sentinel.model.alert import Alert
from sentinel.model.control import Control
from sentinel.model.incident import IncidentEvent
from sentinel.service.grouping import NAME, ORDER
from sentinel.service.membership import name_of
from sentinel.service.outlet import GROUPING, ToGrouping
from sentinel.service.placing import Placing
from sentinel.service.running import privacy_key
from sentinel.service.topic_reader import Refused, TopicReader
from sentinel.settings.middle import engine_rules, grouping_rules, intake_settings
from sentinel.settings.prices import price_table
from sentinel.sources.segments import CONTROL, EVENTS
from sentinel.vitals.inventory import Vitals

FIRST: Final = 0
_EVENT_ID: Final = re.compile(rb'"event_id":"([^"]+)"')


class Recorder:
    """Reads everything that is in the topics, by itself and in no group."""

    def __init__(self, bootstrap: str, places: list[Place]) -> None:
        self.records: dict[Place, list[Any]] = {place: [] for place in places}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "recorder",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
            }
        )
        self._consumer.assign([TopicPartition(*place, FIRST) for place in places])
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(1000, 0.2):
                error = message.error()
                if error is not None:
                    assert error.retriable(), error
                    continue
                place = Place(message.topic() or "", message.partition() or 0)
                at = len(self.records[place])
                assert message.offset() == at, f"{place}: {message.offset()}, expected {at}"
                self.records[place].append(message)
        self._consumer.close()

    def ends(self) -> dict[Place, int]:
        """Return how many records each partition has."""
        return {place: len(records) for place, records in self.records.items()}

    def event_ids(self) -> list[str]:
        """Return the ids of all events that passed an intake before they were written."""
        return [
            found.decode()
            for records in self.records.values()
            for record in records
            if record.headers()
            for found in _EVENT_ID.findall(record.value() or b"")
        ]

    def stop(self) -> None:
        """Read what there is, and end."""
        seen = -1
        while seen != sum(self.ends().values()):
            seen = sum(self.ends().values())
            self._ending.wait(0.7)
        self._ending.set()
        self._thread.join()


class Undisturbed:
    """One run over the records as they were written."""

    def __init__(
        self, plan: Plan, cluster_id: str, recorder: Recorder, ends: dict[Place, int]
    ) -> None:
        settings = plan.settings()
        self.anomalies: set[str] = set()
        self.rows: dict[str, bytes] = {}
        """Incident events by the id of their row."""
        self.refused: Counter[tuple[Place, int]] = Counter()
        self.events = 0
        key = privacy_key(settings)
        vitals = Vitals()
        for place, records in recorder.records.items():
            messages = records[: ends[place]]
            assert len(messages) == ends[place], f"{place}: not all of it was recorded"
            log_id = f"{cluster_id}/{place.topic}"
            partition = Partition(engine_rules(settings), log_id, place.partition)
            intake = Intake(
                intake_settings(settings),
                key=key,
                log_id=log_id,
                partition=place.partition,
                prices=price_table(settings.prices),
            )

            def refuse(refused: list[Refused], place: Place = place) -> None:
                self.refused.update((place, one.offset) for one in refused)

            reader = TopicReader(
                intake,
                vitals,
                signal="traces",
                otlp=False,
                told_until=0,
                refused=refuse,
                place=place,
                placing=Placing(vitals),
                waiting={},
            )
            outlet = ToGrouping(grouping_rules(settings))
            # Cut otherwise than the workers cut: what comes out may not depend on it.
            for first in range(0, len(messages), 700):
                self._judge(reader, partition, outlet, _chunk(place, messages[first : first + 700]))

    def _judge(
        self, reader: TopicReader, partition: Partition, outlet: ToGrouping, chunk: Chunk
    ) -> None:
        for work in reader.read([chunk]):
            if work.kind == EVENTS:
                if work.batch is None or not len(work.batch):
                    partition.pass_over(work.end)
                    continue
                judgement = partition.judge(work.batch)
                partition.pass_over(work.end)
                self.anomalies.update(one.id for one in judgement.anomalies)
                happened = judgement.incident_events
                self.events += len(work.batch)
            elif work.kind == CONTROL:
                control = msgspec.json.decode(work.payload, type=Control)
                happened = partition.act(control, work.received_at, work.end)
            else:
                happened = partition.advance(work.received_at, work.end)
            self.rows.update((row.id, row.body) for row in outlet.tell(happened))


def _chunk(place: Place, messages: list[Any]) -> Chunk:
    return Chunk(
        place,
        [message.offset() for message in messages],
        [message.timestamp()[1] for message in messages],
        [message.key() for message in messages],
        [message.value() for message in messages],
        [message.headers() for message in messages],
        0,
    )


class Left:
    """What the workers kept and told."""

    def __init__(self, plan: Plan, places: list[Place], names: list[str], logs: list[Path]) -> None:
        self.anomalies: set[str] = set()
        self.incidents: set[str] = set()
        for name in names:
            path = Path(plan.folder) / name / "sentinel.duckdb"
            if not path.exists():
                continue
            database = duckdb.connect(str(path), read_only=True)
            found = database.execute("SELECT id FROM anomalies").fetchall()
            ids = [f"anom-{one[0].hex}" for one in found]
            assert len(ids) == len(set(ids)), f"{name}: an anomaly is there twice"
            self.anomalies.update(ids)
            found = database.execute("SELECT id FROM incidents").fetchall()
            self.incidents.update(one[0] for one in found)
            database.close()
        self.told: Counter[str] = Counter()
        self.problems: list[str] = []
        for log in logs:
            for line in log.read_text(errors="replace").splitlines():
                self._look_at(line)
        self.order = _order(plan)
        """The events in the order in which they were grouped."""
        state = plan.checkpoints()
        outlet = ToGrouping(grouping_rules(plan.settings()))
        waiting = [row for p in places for row in state.waiting(name_of(p), GROUPING, 1 << 30)]
        self.rows = {row.id: row.body for row in [*outlet.tell(self.order), *waiting]}
        """All that happened, by its id: grouped, or still on its way to it."""
        self.to_tell = {row.id for row in state.waiting(NAME, "log", 1 << 30)}
        """Alerts that were not told yet."""
        state.close()

    def _look_at(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            if line:
                self.problems.append(line)
            return
        if said["event"].startswith("alert."):
            self.told[said["id"]] += 1
        elif said["event"] == "service.failed":
            self.problems.append(line)


def _order(plan: Plan) -> list[IncidentEvent]:
    """Return what was grouped: what was folded away, and what was not yet."""
    found: dict[int, IncidentEvent] = {}
    folded = plan.order.read_text().splitlines() if plan.order.exists() else []
    stage = plan.checkpoints()
    bodies = [line.encode() for line in folded]
    bodies += [row.body for row in stage.waiting(NAME, ORDER, 1 << 30)]
    stage.close()
    for body in bodies:
        taken = msgspec.json.decode(body)
        event = msgspec.convert(taken["event"], IncidentEvent)
        assert found.setdefault(taken["number"], event) == event, "taken twice, as different"
    assert sorted(found) == list(range(len(found))), "a gap in the order"
    return [found[number] for number in sorted(found)]


def alerts_of(plan: Plan, order: list[IncidentEvent]) -> list[Alert]:
    """Return what should be told of events in this order."""
    return Grouper(grouping_rules(plan.settings())).tell(order)


def is_drained(plan: Plan, places: list[Place], ends: dict[Place, int]) -> bool:
    """Say whether everything has been judged, grouped and told."""
    state = plan.checkpoints()
    try:
        for place in places:
            seen = state.look(name_of(place), series=False)
            if seen is None or seen.next_offset < ends[place]:
                return False
            if state.waiting(name_of(place), GROUPING, 1):
                return False
        return not state.waiting(NAME, "log", 1)
    finally:
        state.close()


def committed_to(plan: Plan, places: list[Place]) -> dict[Place, int]:
    """Return how far each partition was judged."""
    state = plan.checkpoints()
    found = {}
    for place in places:
        seen = state.look(name_of(place), series=False)
        assert seen is not None, f"{place}: nobody has judged it"
        found[place] = seen.next_offset
    return found
