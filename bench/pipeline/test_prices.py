"""What it costs an event to be given a cost, beside reading its columns: ten models, no caching."""

import random

import numpy as np

from sentinel._core.columns import Columns, Reader
from sentinel._core.prices import Costs
from sentinel.intake import PriceTable
from sentinel.model.event import Event, Prompt, Response
from sentinel.sources.price_list import sellers
from yardstick import Table, gates, taking_turns

EVENTS = 1000
NOW_US = 1_767_225_600_000_000
MODELS = (
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("openai", "o3", None),
    ("openai", "gpt-4.1", None),
    ("anthropic", "claude-sonnet-4-5", None),
    ("anthropic", "claude-haiku-4-5", None),
    ("gcp.gemini", "gemini-2.5-pro", None),
    ("gcp.gemini", "gemini-2.5-flash", None),
    ("aws.bedrock", "amazon.nova-pro-v1:0", None),
    ("nobody", "of-my-own", None),
)


def _events() -> list[Event]:
    chance = random.Random(1)
    made = []
    for _ in range(EVENTS):
        provider, model, answered_by = chance.choice(MODELS)
        made.append(
            Event(
                # As decoders leave them: texts of their own for each event.
                service_name="chat-api",
                model="".join(model),
                provider=bytes(provider, "ascii").decode(),
                prompt=Prompt(tokens=chance.randint(10, 9000)),
                response=Response(
                    tokens=chance.randint(1, 900),
                    model=answered_by and bytes(answered_by, "ascii").decode(),
                ),
            )
        )
    return made


def test_a_cost_is_nearly_free(table: Table) -> None:
    reader = Reader(Event, Prompt, Response)
    table_of_prices = PriceTable(sellers)
    costs = Costs(Event, Response, table_of_prices.tariff)
    events = _events()

    def read() -> Columns:
        return reader.read(events, NOW_US)

    columns = read()
    absent = columns.values[:, 5].copy()

    def price() -> None:
        columns.values[:, 5] = absent
        costs.fill(events, columns.fault, columns.time, columns.values)

    price()
    assert np.isfinite(columns.values[:, 5]).sum() > 0.8 * EVENTS
    for event in events:
        event.cost_usd = None
    ratio = taking_turns(price, read, (EVENTS, EVENTS), repeats=200)
    gate = gates("prices")["fill"]
    table.hold(gate, ratio.median, ratio.note("a cost", "reading an event"))
