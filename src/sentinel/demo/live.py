"""The demo itself: a service on this machine learns ten minutes, then gets traffic by HTTP."""

import asyncio
import contextlib
import http.client
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from sentinel.demo.comparison import compare
from sentinel.demo.show import Show
from sentinel.demo.traffic import LIVE_SECONDS, Traffic
from sentinel.errors import InputError
from sentinel.model.incident import Incident
from sentinel.replay.run import Replay
from sentinel.service import serve
from sentinel.service.assemble import Service
from sentinel.settings import Settings
from sentinel.settings.schema import Api, Ingestion, Otlp
from sentinel.sources.journal import read_folder

_PATIENCE_SECONDS = 30.0
"""How long what was sent may take to be judged and stored."""


class Demo:
    """One run."""

    def __init__(self, seed: int, seconds: float, port: int) -> None:
        self._seed, self._seconds, self._port = seed, seconds, port
        self._wrong = True

    def run(self) -> int:
        """Run it in a temporary folder; 0 where nothing was missed, false or different."""
        with tempfile.TemporaryDirectory(prefix="llm-sentinel-demo-") as folder:
            self._folder = Path(folder)
            settings = Settings(
                data_dir=folder,
                api=Api(bind_addr=f"127.0.0.1:{self._port}"),
                ingestion=Ingestion(otlp=Otlp(enabled=False)),  # what others send is not the demo's
            )
            code = serve.run(settings, ready=self._beside)
            if code:
                return code
            replayed = self._replay()
            same = self._show.end({i.id for i in self._show.opened}, self._asked, replayed)
            return 1 if self._wrong or not same else 0

    async def _beside(self, service: Service, url: str) -> None:
        """Learn, send, watch and compare, while the service runs."""
        service.ticking = False
        pace = self._seconds / LIVE_SECONDS
        traffic = Traffic(self._seed, start=datetime.now(UTC), pace=pace)
        self._show = show = Show(traffic, url)
        began = time.monotonic()
        calls = 0
        for body in traffic.history():
            calls += (await service.ingest.take(body, None)).accepted
        await self._judged(service)
        show.begin(calls, time.monotonic() - began, str(self._folder))
        votes = service.owner.votes
        service.ticking = True
        watching = asyncio.create_task(self._watch(service))
        sent = await self._send(traffic, url)
        await self._judged(service)
        await asyncio.sleep(0.2)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        outcome = compare(traffic, show.opened)
        self._wrong = bool(outcome.missed or outcome.false)
        show.summarise(outcome, sent, service.owner.votes - votes)
        await asyncio.to_thread(service.store.flush, _PATIENCE_SECONDS)
        self._asked = await asyncio.to_thread(_incident_ids, url)

    async def _watch(self, service: Service) -> None:
        decode = msgspec.json.Decoder(Incident).decode
        async for name, data in service.hub.follow(None):
            if name.startswith("incident."):
                self._show.tell(name.partition(".")[2], decode(data))

    async def _send(self, traffic: Traffic, url: str) -> int:
        """Send the traffic by HTTP, each quarter of a second when it is due; returns the calls."""
        address = urlsplit(url).netloc
        connection = http.client.HTTPConnection(address, timeout=_PATIENCE_SECONDS)
        began = time.monotonic()
        sent = 0
        for second, body in traffic.live():
            wait = began + second * traffic.pace - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if body:
                sent += await asyncio.to_thread(_post, connection, body)
            self._show.pass_time(second)
        connection.close()
        return sent

    async def _judged(self, service: Service) -> None:
        """Wait until everything that is durable has been judged."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while service.owner.judged_to < service.journal.next_offset:
            if time.monotonic() > deadline:
                raise InputError("demo: the engine does not keep up")
            await asyncio.sleep(0.02)

    def _replay(self) -> set[str]:
        """Return the ids of the incidents that a replay of the journal opens."""
        recorded = read_folder(self._folder / "journal")
        replay = Replay(Settings(), recorded.log_id)
        return {
            event.incident.id
            for record in recorded.records
            for event in replay.judge_record(record).incident_events
            if event.kind == "open"
        }


def _post(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/api/v1/events", body, {"Content-Type": "application/x-ndjson"})
    answer = connection.getresponse()
    receipt = json.loads(answer.read())
    if answer.status != 200 or receipt["rejected"]:
        raise InputError(f"demo: the service answered {answer.status}")
    accepted: int = receipt["accepted"]
    return accepted


def _incident_ids(url: str) -> set[str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_SECONDS)
    connection.request("GET", "/api/v1/incidents?limit=1000")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return {incident["id"] for incident in answer["incidents"]}
