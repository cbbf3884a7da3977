"""Everything that runs in one process of several that share Kafka topics."""

import asyncio
import time
import uuid
from typing import Any, Final

import msgspec

from sentinel.api.desk import Component
from sentinel.channels.log import LogChannel
from sentinel.checkpoints.contract import Checkpoints
from sentinel.connections.kafka import Place, Sender
from sentinel.errors import BrokerError, Fenced, Gap, JournalFull, StateError
from sentinel.intake import Intake, IntakeSettings
from sentinel.model.baseline import BaselineSummary
from sentinel.model.control import Control
from sentinel.model.incident import Incident, IncidentEvent
from sentinel.service.dead_letters import DeadLetters
from sentinel.service.elsewhere import Elsewhere, View
from sentinel.service.engine_loop import EngineLoop
from sentinel.service.grouping import NAME, GroupingStage
from sentinel.service.membership import Around, Held, Membership, name_of
from sentinel.service.owner import Owner
from sentinel.service.relay import Relay
from sentinel.service.running import Running, privacy_key
from sentinel.service.state_place import partitions_place
from sentinel.service.topic_log import TopicLog
from sentinel.settings import Settings
from sentinel.settings.kafka import Kafka
from sentinel.settings.middle import engine_rules, grouping_rules, intake_settings
from sentinel.sources.kafka import KafkaSource
from sentinel.stores.queries import IncidentFilter
from sentinel.vitals.logs import log

LOOK_SECONDS: Final = 0.5
"""Between looks at what is to be grouped, where nobody says that there is something."""
COUNT_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 10.0
"""How long a person waits for what was asked; it is done in any case."""
STOP_SECONDS: Final = 40.0


class ClusterService(Running):
    """One member of the group; `number` of several that one command runs."""

    has_others = True

    def __init__(self, settings: Settings, *, number: int = 0, **rest: Any) -> None:
        super().__init__(settings, **rest)
        if number:
            # The state of partitions is shared; a store has one writer.
            self._folder /= f"process-{number}"
        assert settings.ingestion.kafka is not None, "that is what makes a cluster"
        self._kafka: Kafka = settings.ingestion.kafka
        self._news = asyncio.Event()

    def open(self) -> None:
        """Open what is on disk, reach the brokers, and join the group.

        Raises
        ------
        BrokerError
            They do not answer.
        StateError
            The folder belongs to a running process, or cannot be used.
        """
        settings, kafka = self.settings, self._kafka
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = privacy_key(settings)
        if settings.privacy.key is None:
            log.warning(
                "privacy.key_is_our_own",
                means="other processes make other pseudonyms: set privacy.key before there are any",
            )
        self._sender = Sender(kafka.client())
        topics = kafka.all_topics()
        cluster_id, self._counts = self._sender.cluster(topics)
        self.checkpoints: Checkpoints = self._place_for_state()
        self._open_store(cluster_id)
        self.engine = EngineLoop(self.vitals, failed=self.fail, given_up=self._gave_up)
        rules = intake_settings(settings)
        self._price_list = self._prices()
        self.membership = self._membership(cluster_id, rules, key)
        self.elsewhere = Elsewhere(self.checkpoints, cluster_id, self.membership.rules)
        self._source = KafkaSource(
            kafka.member(),
            topics,
            self.membership,
            most=kafka.max_poll_records,
            failed=self.fail,
            crash_point=self._crash_point,
        )
        self.log = TopicLog(
            self._sender,
            kafka.topic,
            places=self._places,
            settle=lambda token, error: self.ingest.settled(token, error),
            crash_point=self._crash_point,
        )
        self.ingest = self._ingest(
            Intake(rules, key=key, log_id=cluster_id, prices=self._price_list),
            self.log,
            lambda: "the service is stopping" if self._draining else "",
        )
        self.engine.start()
        self._source.start()

    def _membership(self, cluster_id: str, rules: IntakeSettings, key: bytes) -> Membership:
        settings = self.settings
        return Membership(
            Around(
                settings=settings,
                cluster_id=cluster_id,
                counts=dict(self._counts),
                checkpoints=self.checkpoints,
                store=self.store,
                engine=self.engine,
                vitals=self.vitals,
                intake_of=lambda place, log_id: Intake(
                    rules,
                    key=key,
                    log_id=log_id,
                    partition=place.partition,
                    prices=self._price_list,
                ),
                letters_of=lambda place: DeadLetters(
                    self._sender, place, self.vitals, crash_point=self._crash_point
                ),
                publish=self.hub.publish,
                committed=self._hear,
                changed=self._hear,
                rejoin=lambda: self._source.rejoin(),
                crash_point=self._crash_point,
            )
        )

    def _place_for_state(self) -> Checkpoints:
        return partitions_place(self.settings)

    def _places(self) -> list[Place]:
        known = {Place(topic, p) for topic, count in self._counts.items() for p in range(count)}
        return sorted(known | self.membership.held.keys())

    def _hear(self) -> None:
        """Look soon at what is to be grouped; from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    def _gave_up(self, owner: Owner, error: StateError) -> None:
        """Leave the group and join it again: somebody else has a partition that we thought ours."""
        self.vitals.fenced.inc()
        log.warning("partition.given_up", partition=owner.name, error=str(error))
        self._source.rejoin()

    # What people ask

    async def agree(self) -> None:
        """Nothing yet: partitions are asked as they come."""

    async def configure(self, settings: Settings) -> None:
        """Judge by the rules of these settings, from a record of each partition on."""
        self.membership.rules = engine_rules(settings)
        await self.act(_configure(settings))

    async def act(self, control: Control) -> list[IncidentEvent] | None:
        """Write a control to all partitions; returns what it did in those that are ours.

        Raises
        ------
        JournalFull, BrokerError
            It cannot be written for now.
        """
        name = str(uuid.uuid4())
        written: asyncio.Future[Exception | None] = self._loop.create_future()
        ours = set(self.membership.held)
        answers: asyncio.Queue[list[IncidentEvent]] = asyncio.Queue()

        def done(happened: list[IncidentEvent]) -> None:
            self._loop.call_soon_threadsafe(answers.put_nowait, happened)

        def sent(error: Exception | None) -> None:
            self._loop.call_soon_threadsafe(_settle, written, error)

        self.membership.waiting[name] = done
        try:
            self.log.control(control, time.time_ns(), id=name, done=sent)
            error = await written
            if error is not None:
                raise error
            happened: list[IncidentEvent] = []
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    for _ in ours:
                        happened += await answers.get()
            except TimeoutError:
                return happened or None
        finally:
            self.membership.waiting.pop(name, None)
        is_all_ours = ours >= set(self._places())
        return happened if happened or is_all_ours else None

    def baselines(self) -> list[BaselineSummary]:
        """Return a summary of every series: live where it is ours, else as its owner kept it."""
        ours = [one for owner in self.engine.owners for one in owner.parts.partition.baselines()]
        return ours + [one for view in self._views() for one in view.baselines]

    def open_incidents(self) -> dict[str, Incident]:
        """Return open incidents by id, those of others as their owners kept them last."""
        found = {incident.id: incident for view in self._views() for incident in view.incidents}
        return found | self.engine.open_incidents

    def _incidents_elsewhere(self, chosen: IncidentFilter, known: set[str]) -> list[Incident]:
        return [
            incident
            for view in self._views()
            for incident in view.incidents
            if incident.id not in known
            and chosen.state in (None, incident.state)
            and chosen.severity in (None, incident.severity)
            and chosen.service in (None, incident.service)
        ]

    def _views(self) -> list[View]:
        ours = set(self.membership.held)
        return self.elsewhere.views([place for place in self._places() if place not in ours])

    def components(self) -> dict[str, Component]:
        """Return what has to be well for the process to be ready."""
        return {
            "engine": Component(not self.failure.is_set() and not self.engine.stuck),
            "store": Component(not self.store.is_behind),
            "service": Component(not self._draining),
        }

    # Tasks of the event loop

    async def run_tasks(self) -> None:
        """Tick, group and tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            tasks.create_task(self._count_partitions())
            tasks.create_task(self._group())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            held = list(self.membership.held.values())
            self.vitals.storage_backlog.set(self.store.backlog_bytes)
            self.vitals.outbox_bytes.set(sum(one.checkpoint.outbox_bytes for one in held))
            if self._draining:
                continue
            try:
                for one in held:
                    self._pass_time(one)
            except (BrokerError, JournalFull):
                # The next tick says the same.
                self.vitals.journal_errors.inc()

    def _pass_time(self, held: Held) -> None:
        """Let time pass where nothing came, and ask for our rules where others hold."""
        owner = held.owner
        if time.monotonic() - held.heard_at >= 1.0 and self.ticking:
            self.log.tick(held.place, time.time_ns())
        if held.is_agreed or owner.judged_to < owner.parts.told_until:
            return
        held.is_agreed = True
        wanted = (self.membership.rules, grouping_rules(self.settings))
        if (owner.parts.partition.rules, owner.parts.outlet.rules) != wanted:
            self.log.control(
                _configure(self.settings),
                time.time_ns(),
                id="",
                done=lambda _: None,
                places=[held.place],
            )

    async def _count_partitions(self) -> None:
        """Learn of partitions that were added: they are asked, and grouped, too."""
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            try:
                topics = self._kafka.all_topics()
                _, self._counts = await asyncio.to_thread(self._sender.cluster, topics)
            except BrokerError as error:
                log.warning("kafka.not_counted", error=str(error))

    async def _group(self) -> None:
        """Group for as long as the first partition is ours."""
        while True:
            if not self._groups():
                await asyncio.sleep(LOOK_SECONDS)
                continue
            try:
                await self._group_and_tell()
            except (Fenced, Gap) as error:
                self.vitals.fenced.inc()
                log.warning("grouping.given_up", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            except StateError as error:
                if type(error) is not StateError:
                    raise
                log.error("grouping.not_done", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    def _groups(self) -> bool:
        return Place(self._kafka.topic, 0) in self.membership.held

    async def _group_and_tell(self) -> None:
        channel = LogChannel()
        stage = await asyncio.to_thread(self._open_stage, channel.name)
        relay = Relay(stage.checkpoint, channel, self.vitals, crash_point=self._crash_point)
        telling = asyncio.create_task(relay.run())
        try:
            while self._groups() and not telling.done():
                self._news.clear()
                if await asyncio.to_thread(stage.turn):
                    relay.wake()
                try:
                    await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)
                except TimeoutError:
                    continue
            if telling.done():
                telling.result()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            stage.checkpoint.close()

    def _open_stage(self, destination: str) -> GroupingStage:
        checkpoint = self.checkpoints.open(NAME, log_id=NAME, crash_point=self._crash_point)
        return GroupingStage(
            checkpoint,
            self.checkpoints,
            self.vitals,
            rules=grouping_rules(self.settings),
            destinations=[destination],
            partitions=lambda: [name_of(place) for place in self._places()],
            crash_point=self._crash_point,
        )

    def close(self) -> None:
        """Leave the group with everything committed, and let everything go."""
        if not self._source.stop(STOP_SECONDS):
            raise StateError("the group could not be left in time; the next owner goes on")
        if not self.engine.stop(timeout=15):
            raise StateError("the engine did not come to an end; the topic has everything")
        self.store.close()
        self._sender.close()
        self.checkpoints.close()


def _configure(settings: Settings) -> Control:
    return Control(
        kind="configure",
        rules=msgspec.Raw(msgspec.json.encode(engine_rules(settings))),
        grouping=msgspec.Raw(msgspec.json.encode(grouping_rules(settings))),
    )


def _settle(written: "asyncio.Future[Exception | None]", error: Exception | None) -> None:
    if not written.done():
        written.set_result(error)
