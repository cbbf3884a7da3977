from sentinel._core.bank import Bank

OTHER: str
OTHER_KEY: tuple[str, str, str]

Names = tuple[str, str, str, str]

class Roster:
    bank: Bank
    max_series: int
    def key_of(self, slot: int) -> tuple[Names, int] | None: ...
    def slot_of(self, key: Names, metric: int) -> int | None: ...
    def adopt(self, key: Names, metric: int) -> int: ...
    def live_slots(self, clock: int) -> list[int]: ...
