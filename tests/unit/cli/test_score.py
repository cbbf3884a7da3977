"""`sentinel score`: one causal score a row, and what is wrong with a row is said with its place."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from oracle.novelty import alarms, statistics
from sentinel.cli import main

HEADS = ("", "timestamp,value\n", "time, Value\n", "\ufefftimestamp,value\r\n")


def rows_of(values: list[float], start: float = 1_740_992_400) -> str:
    return "".join(f"{start + 60 * i},{value!r}\n" for i, value in enumerate(values))


def score(text: str, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> list[float]:
    path = tmp_path / "series.csv"
    path.write_text(text, encoding="utf-8")
    code = main(["score", str(path)])
    out, told = capfd.readouterr()
    assert (code, told) == (0, "")
    return [float(line) for line in out.splitlines()]


def test_a_row_gives_a_score_and_an_odd_one_a_high_one(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(100, 5, 300).tolist()
    values[250] = 400.0
    scores = score(rows_of(values), capfd, tmp_path)
    assert len(scores) == 300
    assert all(0 <= one < 1 for one in scores)
    assert scores[:100] == [0.0] * 100, "while learning"
    assert [row for row, one in enumerate(scores) if one >= 0.5] == [250]
    assert scores[250] > 0.75


def test_an_episode_alarms_when_it_starts_and_the_rest_of_it_stays_below_a_half(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = np.random.default_rng(5).normal(100, 5, 700)
    values[500:520] += 60
    scores = score(rows_of(values.tolist()), capfd, tmp_path)
    # It is three times as bad when a whole shape of eight lies off.
    assert [row for row, one in enumerate(scores) if one >= 0.5] == [500, 508]
    assert min(scores[500:520]) == pytest.approx(0.5), "it goes on"


def test_the_scores_are_those_of_the_series_itself(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = np.exp(np.random.default_rng(6).normal(3, 1, 900))
    ratio = alarms(statistics(values), 0.85)
    assert score(rows_of(values.tolist()), capfd, tmp_path) == pytest.approx(
        (ratio / (1 + ratio)).tolist(), abs=1e-6
    )


def test_a_constant_is_never_strange_and_what_leaves_it_is(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scores = score(rows_of([5.0] * 250 + [5.1, 5.0]), capfd, tmp_path)
    assert scores[:250] == [0.0] * 250
    assert scores[250] > 0.9


@pytest.mark.parametrize("head", HEADS)
def test_a_header_is_no_row(head: str, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert len(score(head + rows_of([1.0, 2.0]), capfd, tmp_path)) == 2


def test_a_score_does_not_depend_on_what_comes_after(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    values = (np.exp(rng.normal(3, 1, 9000)) * np.where(np.arange(9000) > 6000, 5, 1)).tolist()
    whole = score(rows_of(values), capfd, tmp_path)
    # Rows are judged in blocks of 4,096.
    for length in (1, 11, 500, 4095, 4096, 4097, 8999):
        assert score(rows_of(values[:length]), capfd, tmp_path) == whole[:length]
    other = [*values[:5000], *[1e6] * 100]
    assert score(rows_of(other), capfd, tmp_path)[:5000] == whole[:5000]


@pytest.mark.parametrize(
    "time",
    [
        *("0", "1740992400", "1740992400.25", "1740992400000", "1740992400000000", "-5"),
        *("1740992400000000000", "2026-03-02T09:00:00Z", "2026-03-02 09:00:00", "2026-03-02"),
        *("2026-03-02T09:00:00+02:00", " 7 "),
    ],
)
def test_a_time_may_be_written_in_many_ways(
    time: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert score(f"{time},1.5\n", capfd, tmp_path) == [0.0]


def test_rows_out_of_order_are_scored_in_the_order_given(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = [*np.random.default_rng(3).normal(10, 1, 100).tolist(), 99.0]
    ordered = rows_of(values).splitlines(keepends=True)
    shuffled = [f"{1e9 - i},{value!r}\n" for i, value in enumerate(values)]
    scores = [score("".join(rows), capfd, tmp_path) for rows in (ordered, shuffled)]
    assert scores[0] == scores[1]


BAD = [
    ("1,2\n3\n", ":2: got 1 columns, expected timestamp,value"),
    ("1,2\n\n3,4,5\n", ":3: got 3 columns, expected timestamp,value"),
    ("1,2\n3,four\n", ":2: value is not a number"),
    ("1,2\n3,\n", ":2: value is not a number"),
    ("1,nan\n", ":1: value is not finite"),
    ("1,2\n2,-inf\n", ":2: value is not finite"),
    ("1,1e400\n", ":1: value is not finite"),
    ("now,1\n", ":1: timestamp is neither a time nor a number"),
    (",1\n", ":1: timestamp is neither a time nor a number"),
    ("nan,1\n", ":1: timestamp is out of range"),
    ("1,1\ninf,1\n", ":2: timestamp is out of range"),
    ("1e30,1\n", ":1: timestamp is out of range"),
    ("0001-01-01,1\n", ":1: timestamp is out of range"),
    ("9999-12-31T23:59:59-14:00,1\n", ":1: timestamp is out of range"),
    ("timestamp,value\n1,2\ntimestamp,value\n", ":3: value is not a number"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_row_is_named_with_its_place(
    text: str, message: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "series.csv"
    path.write_text(text)
    code = main(["score", str(path)])
    assert (code, capfd.readouterr().err) == (2, f"sentinel: {path}{message}\n")


def test_what_is_no_text_or_not_there_is_refused(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "series.csv"
    path.write_bytes(b"1,2\n\xff\xfe,3\n")
    for name in (path, tmp_path / "absent", tmp_path):
        assert main(["score", str(name)]) == 2
        told = capfd.readouterr().err
        assert told.startswith(f"sentinel: {name}: ")
        assert len(told.splitlines()) == 1


def test_standard_input_is_read_and_the_settings_count(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "sentinel.yaml"
    values = [*np.random.default_rng(7).normal(0, 1, 300).tolist(), 50.0]
    last = {}
    for threshold in (0.85, 1.7):
        settings.write_text(f"detection:\n  novelty:\n    threshold: {threshold}\n")
        text = io.BytesIO(rows_of(values).encode())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(text))
        assert main(["score", "-", "-c", str(settings)]) == 0
        last[threshold] = float(capfd.readouterr().out.splitlines()[-1])
    odds = {threshold: one / (1 - one) for threshold, one in last.items()}
    assert odds[0.85] == pytest.approx(2 * odds[1.7]), "the threshold divides"


def test_an_empty_file_has_no_scores(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for text in ("", "\n\n", "timestamp,value\n"):
        assert score(text, capfd, tmp_path) == []
