"""What calls cost that do not say so: where prices come from, and those of one's own."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from sentinel.intake import Price, PriceTable, Seller
from sentinel.settings.fields import Name
from sentinel.settings.problems import Problems
from sentinel.settings.tree import Leaf, Row, Table, find, parse

FILE_BYTES_MAX: Final = 1_048_576
_SECTION: Final = "prices"

Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]


class OwnPrice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model costs, whatever a list says."""

    model: Annotated[str, Meta(max_length=256, description="Required; capitals do not matter.")] = (
        ""
    )
    provider: Annotated[Name | None, Meta(description="As events name it; absent: any.")] = None
    since: Annotated[
        Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None,
        Meta(description="Day in UTC from which it holds, 2026-01-31; absent: ever."),
    ] = None
    input_mtok: Annotated[
        Dollars, Meta(description="US dollars a million tokens of the prompt.")
    ] = 0.0
    output_mtok: Annotated[Dollars, Meta(description="The same of the answer.")] = 0.0
    cache_read_mtok: Annotated[
        Dollars | None, Meta(description="Of tokens read from a cache; absent: as input_mtok.")
    ] = None
    cache_write_mtok: Annotated[
        Dollars | None, Meta(description="Of tokens written to a cache; absent: as input_mtok.")
    ] = None
    call: Annotated[Dollars, Meta(description="US dollars a call, beside its tokens.")] = 0.0


class Prices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the cost of an event is worked out that does not say it."""

    enabled: Annotated[bool, Meta(description="False: a cost that is not said stays absent.")] = (
        True
    )
    file: Annotated[
        Annotated[str, Meta(min_length=1, max_length=4096)] | None,
        Meta(description="YAML with `models:`, as below; they outdo the list that comes along."),
    ] = None
    models: Annotated[
        tuple[OwnPrice, ...], Meta(max_length=10_000, description="Prices of one's own.")
    ] = ()
    aliases: Annotated[
        dict[str, Name],
        Meta(description="Name of a deployment: model that it is, or provider/model."),
    ] = {}


def fill_prices(root: Table, problems: Problems) -> None:
    """Put the prices of `prices.file` where `prices.models` would stand."""
    section = find(root, _SECTION)
    file = section.entries.get("file") if isinstance(section, Table) else None
    if not isinstance(section, Table) or not isinstance(file, Leaf) or not file.text:
        return
    key = f"{_SECTION}.file"
    if "models" in section.entries:
        problems.add(file.place, key, "give this or models, not both")
        return
    try:
        with Path(file.text).open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            problems.add(file.place, key, f"larger than {FILE_BYTES_MAX} bytes")
            return
        read = parse(content.decode("utf-8-sig"), file.text, problems)
    except UnicodeDecodeError:
        problems.add(file.place, key, "not UTF-8")
        return
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.add(file.place, key, f"cannot be read: {reason}")
        return
    models = read.entries.get("models") if isinstance(read, Table) else None
    if not isinstance(models, Row):
        problems.add(file.place, key, "no list `models:` in it")
        return
    assert isinstance(read, Table)  # for the type checker
    for other, place in read.keys.items():
        if other != "models":
            problems.add(place, f"{_SECTION}.{other}", "unknown key, known here: models")
    section.entries["models"], section.keys["models"] = models, read.keys["models"]


def faults(prices: Prices) -> list[str]:
    """Return what is wrong with prices that no single key shows."""
    found = []
    for number, one in enumerate(prices.models):
        if not one.model:
            found.append(f"price {number}: model is absent, but required")
        try:
            date.fromisoformat(one.since or "2000-01-01")
        except ValueError:
            found.append(f"price {number}: since: no such day")
    return found


def price_table(prices: Prices) -> PriceTable | None:
    """Return what intake asks for prices; None where nobody wants costs worked out."""
    if not prices.enabled:
        return None
    own: dict[tuple[str, str | None], list[Price]] = {}
    for one in sorted(prices.models, key=lambda price: price.since or ""):
        name = (one.model.lower(), one.provider.lower() if one.provider else None)
        own.setdefault(name, []).append(_price_of(one))
    return PriceTable(_sellers, own=own, aliases=prices.aliases)


def _sellers() -> tuple[Seller, ...]:
    # A quarter of a second and 40 MB: for those that need it.
    from sentinel.sources.price_list import sellers

    return sellers()


def _price_of(one: OwnPrice) -> Price:
    def beyond(price: float | None) -> float:
        return 0.0 if price is None else (price - one.input_mtok) / 1e6

    begin = (
        {}
        if one.since is None
        else {"since_us": datetime.fromisoformat(one.since).replace(tzinfo=UTC).timestamp() * 1e6}
    )
    return Price(
        call=one.call,
        input=one.input_mtok / 1e6,
        output=one.output_mtok / 1e6,
        cache_read=beyond(one.cache_read_mtok),
        cache_write=beyond(one.cache_write_mtok),
        **begin,
    )
