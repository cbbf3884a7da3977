"""What models cost, by name, provider and time: a table that is given, and asked once a name.

Who answered says more than who was asked (a deployment, `gpt-4o` for `gpt-4o-2024-08-06`), so its
prices count first.  A provider that the table does not know has no prices: what runs on a machine
of one's own is not what it costs elsewhere.  An alias outdoes them all.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple

from sentinel._core.prices import Tariff

DAY_US: Final = 86_400_000_000
FOREVER_US: Final = -(2**62)

_PROVIDERS: Final = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_openai": "azure",
    "x_ai": "x-ai",
}
"""What OpenTelemetry calls providers -> what lists of prices do, where that is not plain."""

_PASSED_ON: Final = frozenset((None, "", "litellm"))
"""Providers that say nothing of who answers: the name of the model may, as in `openai/gpt-4o`."""

_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=-|:|$)")


class Price(NamedTuple):
    """Prices under one condition, in US dollars: `call` for a call, the others for one token.

    The prices of cached and reasoning tokens are what these cost beyond `input` and `output`.
    """

    since_us: float = FOREVER_US
    """Microseconds since 1970 UTC."""
    day_from_us: float = 0
    day_to_us: float = DAY_US
    """When in a day, in UTC; over midnight where it ends before it begins."""
    above: float = -1.0
    """Tokens of a prompt that is longer than this."""
    call: float = 0.0
    input: float = 0.0
    output: float = 0.0
    cache_read: float = 0.0
    cache_write: float = 0.0
    reasoning: float = 0.0


Prices = Sequence[Price]
"""Of one model, in the order in which a later one outdoes an earlier one."""


class Seller(NamedTuple):
    """A provider, and what it takes for its models."""

    name: str
    exact: Mapping[str, int]
    """Names in lower case -> numbers of models."""
    rules: Sequence[tuple[int, Callable[[str], bool]]]
    """Numbers of models that have other names, ascending, and what tells these."""
    prices: Callable[[int], Prices]
    is_meant: Callable[[str], bool]
    """By the name of a provider in lower case."""
    is_known_for: Callable[[str], bool]
    """By the name of a model, where no provider is said."""
    stands_for: Sequence[str] = ()
    """Sellers whose models it passes on at their prices."""

    def model(self, name: str) -> int | None:
        """Return the number of the first model that has this name."""
        found = self.exact.get(name)
        for number, is_it in self.rules:
            if found is not None and number > found:
                break
            if is_it(name):
                return number
        return found


class PriceTable:
    """Prices by name.

    Parameters
    ----------
    sellers
        Returns them in the order in which they are asked; called once, when that is needed.
    own
        Prices by (model, provider), in lower case, that outdo those of sellers; no provider: any.
    aliases
        Names of deployments -> names of models, or `provider/model`.
    """

    def __init__(
        self,
        sellers: Callable[[], Sequence[Seller]] = tuple,
        *,
        own: Mapping[tuple[str, str | None], Prices] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._make = sellers
        self._own = own or {}
        self._aliases = {name.lower(): meant for name, meant in (aliases or {}).items()}

    @cached_property
    def _sellers(self) -> dict[str, Seller]:
        return {seller.name: seller for seller in self._make()}

    def load(self) -> None:
        """Read the prices now, so that nobody has to wait for it later."""
        assert self._sellers is not None

    def tariff(self, model: str, answered_by: str | None, provider: str | None) -> Tariff | None:
        """Return what a call costs, None where nobody knows."""
        found = self.prices(model, answered_by, provider)
        return None if found is None else Tariff(found)

    def prices(self, model: str, answered_by: str | None, provider: str | None) -> Prices | None:
        """Return the prices of a model, None where there are none."""
        for name in (model, answered_by):
            meant = None if name is None else self._aliases.get(name.lower())
            if meant is not None:
                seller, separator, rest = meant.partition("/")
                found = self._find(rest, seller) if separator else None
                return found or self._find(meant, provider) or self._find(meant, None)
        for name in (answered_by, model):
            found = None if name is None else self._find(name, provider)
            if found is not None:
                return found
        return None

    def _find(self, name: str, provider: str | None) -> Prices | None:
        name = name.lower()
        provider = None if provider is None else provider.lower().strip()
        if provider in _PASSED_ON:
            provider = None
            first, separator, rest = name.partition("/")
            if separator and self._seller(first) is not None:
                provider, name = first, rest
        own = self._own.get((name, provider)) or self._own.get((name, None))
        if own is not None:
            return own
        seller = self._seller(provider) if provider is not None else self._known_for(name)
        if seller is None:
            return None
        for spelt in _spellings(name):
            for one in (seller, *(self._sellers[other] for other in seller.stands_for)):
                number = one.model(spelt)
                if number is not None:
                    return one.prices(number)
        return None

    def _seller(self, provider: str) -> Seller | None:
        provider = _PROVIDERS.get(provider, provider)
        exact = self._sellers.get(provider)
        if exact is not None:
            return exact
        return next((one for one in self._sellers.values() if one.is_meant(provider)), None)

    def _known_for(self, name: str) -> Seller | None:
        return next((one for one in self._sellers.values() if one.is_known_for(name)), None)


def _spellings(name: str) -> Iterator[str]:
    """Yield a name, and the same with its date as `-2025-12-11` where it was `-20251211`."""
    yield name
    dashed = _COMPACT_DATE.sub(_dashed, name)
    if dashed != name:
        yield dashed


def _dashed(found: re.Match[str]) -> str:
    year, month, day = (int(part) for part in found.groups())
    try:
        return f"-{date(year, month, day)}"
    except ValueError:
        return found[0]
