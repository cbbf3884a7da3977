"""Bytes in, judged and cleaned events out: decode, price, admit, redact.

Lives here: everything that stands between a body and a `Batch`; the only place that sees what
producers sent.  Never here: a clock, randomness, input or output, a log, state that changes a
result.  The same bytes at the same position give the same batch, and what comes out goes in again
unchanged.
May import: model, errors, and of the core `columns`, `kept`, `marks`, `otlp`, `prices` and `scan`.
"""

from sentinel.intake.compress import inflate, unpack
from sentinel.intake.intake import Intake, canonical
from sentinel.intake.lines import whole_lines
from sentinel.intake.otlp import OtlpDecoder, Signal
from sentinel.intake.patterns import Pattern, problem_of
from sentinel.intake.prices import Price, PriceTable, Seller
from sentinel.intake.settings import IntakeSettings

__all__ = [
    "Intake",
    "IntakeSettings",
    "OtlpDecoder",
    "Pattern",
    "Price",
    "PriceTable",
    "Seller",
    "Signal",
    "canonical",
    "inflate",
    "problem_of",
    "unpack",
    "whole_lines",
]
