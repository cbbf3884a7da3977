"""What is found in labelled texts and how fast, beside the pattern recognisers of Presidio.

Theirs run without a language model, on the same texts, any score counts.  The texts are made by
`tests/oracle/labelled.py` from a seed that no test uses; phone numbers and the like by Faker too,
which knows nothing of our formats.
"""

import logging
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

import pytest
from faker import Faker

from oracle.labelled import CARRIERS, PHONE_CARRIERS, Labelled, Score, labelled, scores
from sentinel._core.scan import KIND_NAMES, Scanner
from sentinel.intake.secret_names import PROVIDERS, STRONG, WEAK
from yardstick import Table, gates, seconds, taking_turns

GATES = gates("privacy")
SCANNER = Scanner(b"k" * 16, KIND_NAMES[1:], strong=STRONG, weak=WEAK, providers=PROVIDERS)
COUNT: Final = 3_000
LOCALES: Final = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "en_IN")
Spans = list[tuple[int, int, str]]
THEIRS: Final = {
    "EMAIL_ADDRESS": "EMAIL", "PHONE_NUMBER": "PHONE", "CREDIT_CARD": "CARD", "IBAN_CODE": "IBAN",
    "US_SSN": "SSN", "IP_ADDRESS": "IP",
}  # fmt: skip


@pytest.fixture(scope="module")
def presidio() -> Callable[[str], Spans]:
    """Return their recognisers as one function."""
    logging.disable(
        logging.CRITICAL
    )  # they ask the network for a list, and tell when it is not there
    import presidio_analyzer.predefined_recognizers as theirs

    recognizers: list[Any] = [
        theirs.EmailRecognizer(),
        theirs.PhoneRecognizer(),
        theirs.CreditCardRecognizer(),
        theirs.IbanRecognizer(),
        theirs.UsSsnRecognizer(),
        theirs.IpRecognizer(),
    ]

    def spans(text: str) -> Spans:
        return [
            (found.start, found.end, THEIRS[found.entity_type])
            for recognizer in recognizers
            for found in recognizer.analyze(text, recognizer.supported_entities, None) or []
        ]

    spans("a@example.com")
    return spans


def by_faker() -> list[Labelled]:
    """Return texts with values of another maker, none of them after ours."""
    rng, texts = Random(11), []
    for locale in LOCALES:
        fake = Faker(locale)
        fake.seed_instance(11)
        makers = {"PHONE": fake.phone_number, "EMAIL": fake.email}
        if locale != "en_IN":  # it has none of its own, and makes British ones that are too short
            makers["IBAN"] = fake.iban
        if locale == "en_US":
            makers |= {"CARD": fake.credit_card_number, "SSN": fake.ssn, "IP": fake.ipv4_public}
        for kind, make in makers.items():
            for _ in range(200):
                before, after = rng.choice(
                    CARRIERS + PHONE_CARRIERS if kind == "PHONE" else CARRIERS
                ).format("\0").split("\0")  # fmt: skip
                value = make()
                span = (len(before), len(before) + len(value), kind)
                texts.append(Labelled(before + value + after, [span]))
    return texts


@pytest.mark.parametrize("texts", [labelled(77, COUNT), by_faker()], ids=["ours", "faker"])
def test_recall_is_theirs_or_better(
    texts: list[Labelled], presidio: Callable[[str], Spans], table: Table
) -> None:
    ours = scores(texts, [SCANNER.spans(text.text) for text in texts])
    theirs = scores(texts, [presidio(text.text) for text in texts])
    for kind, score in ours.items():
        other: Score | None = theirs.get(kind) if kind in THEIRS.values() else None
        beside = f"; Presidio {other.recall:.3f} at {other.precision:.3f}" if other else ""
        note = f"recall of {score.there}, precision {score.precision:.3f}{beside}"
        table.note(f"{kind} ({len(texts)} texts)", score.recall, note)
        assert other is None or score.recall >= other.recall, kind
        assert score.precision >= 0.98, kind


def test_texts_without_anything_stay(presidio: Callable[[str], Spans], table: Table) -> None:
    harmless = [text.text for text in labelled(78, COUNT) if not text.spans]
    ours = sum(bool(SCANNER.spans(text)) for text in harmless) / len(harmless)
    theirs = sum(bool(presidio(text)) for text in harmless) / len(harmless)
    table.hold(GATES["harmless_changed"], ours, f"share of {len(harmless)}; Presidio {theirs:.3f}")


def test_it_is_many_times_faster(presidio: Callable[[str], Spans], table: Table) -> None:
    texts = [text.text for text in labelled(79, 400)]
    size = sum(len(text.encode()) for text in texts)
    ratio = taking_turns(
        lambda: [presidio(text) for text in texts],
        lambda: [SCANNER.clean(text) for text in texts * 20],
        (size, 20 * size),
        repeats=3,
    )
    table.hold(GATES["presidio_beside_scan"], ratio.median, ratio.note("theirs", "ours"))


def _clean_all(texts: list[str]) -> None:
    for text in texts:
        SCANNER.clean(text)


@pytest.mark.parametrize("length", [200, 2_000])
def test_how_fast_texts_are_cleaned(length: int, table: Table) -> None:
    busy = "\n".join(text.text for text in labelled(80, 3_000))
    plain = ("The quarterly report shows growth in all regions, costs fell, and so on. " * 40)[
        :length
    ]
    pieces = [busy[at : at + length] for at in range(0, len(busy) - length, length)]
    for name, texts in (("busy", pieces), ("plain", [plain + str(k) for k in range(len(pieces))])):
        size = sum(len(text.encode()) for text in texts)
        least = min(seconds(partial(_clean_all, texts)) for _ in range(9))
        table.note(f"{name} texts of {length}", size / least / 1e6, "MB a processor second")
