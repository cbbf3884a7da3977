"""`sentinel score`: one causal score a row, and what is wrong with a row is said with its place."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

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
    assert scores[:10] == [0.0] * 10, "while learning"
    assert int(np.argmax(scores)) == 250
    assert scores[250] > 0.9
    assert np.median(scores[10:]) < 0.5


def test_the_score_is_the_largest_ratio_of_statistic_and_threshold(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    window = [100.0, 103.0, 97.0, 110.0, 95.0, 101.0, 99.0, 104.0, 98.0, 102.0]
    x = 140.0
    mean, sd = np.mean(window), np.std(window, ddof=1)
    q1, median, q3 = np.quantile(window, [0.25, 0.5, 0.75])
    spread = np.median(np.abs(np.array(window) - median))
    z = (x - mean) / sd
    ratio = max(
        z / 3, (x - q3) / (q3 - q1) / 1.5, 0.6745 * (x - median) / spread / 3.5, (z - 0.5) / 5
    )
    *_, last = score(rows_of([*window, x]), capfd, tmp_path)
    assert last == pytest.approx(ratio / (1 + ratio), rel=1e-9)


def test_a_constant_is_never_strange_and_what_leaves_it_is_as_strange_as_can_be(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scores = score(rows_of([5.0] * 50 + [5.1, 5.0]), capfd, tmp_path)
    assert scores[:50] == [0.0] * 50
    assert scores[50] == pytest.approx(1000 / 1001)


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
    settings.write_text("detection:\n  enabled_detectors: [zscore]\n  baseline: {min_samples: 3}\n")
    text = rows_of([1.0, 2.0, 3.0, 5.0])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["score", "-", "-c", str(settings)]) == 0
    *_, last = capfd.readouterr().out.splitlines()
    assert float(last) == pytest.approx(0.5), "z is 3, and so is the threshold"


def test_an_empty_file_has_no_scores(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for text in ("", "\n\n", "timestamp,value\n"):
        assert score(text, capfd, tmp_path) == []
