"""The demo finds what it planted, and says the same of the same seed."""

import re
import subprocess
import sys

import pytest

SEEDS = range(10)


@pytest.fixture(scope="module")
def shows() -> dict[int, str]:
    """Return what the demo of each seed prints."""
    return {seed: show(seed) for seed in SEEDS}


def show(seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "demo", "--seconds", "0", "--seed", str(seed)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    missed, false = wrong_of(done.stdout)
    assert done.returncode == (1 if missed or false else 0)
    return done.stdout


def wrong_of(text: str) -> tuple[int, int]:
    found = re.search(r"\(planted 5, missed (\d+), false (\d+)\)", text)
    assert found is not None, text
    return int(found[1]), int(found[2])


def test_at_most_one_incident_of_ten_seeds_is_missed_or_false(shows: dict[int, str]) -> None:
    assert sum(sum(wrong_of(text)) for text in shows.values()) <= 1


def test_every_demo_shows_incidents_that_open_and_resolve(shows: dict[int, str]) -> None:
    for seed, text in shows.items():
        opened = re.findall(r"^\d\d:\d\d incident opened  (INFO|WARNING|CRITICAL) ", text, re.M)
        resolved = re.findall(r"^\d\d:\d\d incident resolved ", text, re.M)
        assert len(opened) >= 4, f"seed {seed}"
        assert 4 <= len(resolved) <= len(opened), f"seed {seed}"


def test_every_demo_shows_one_call_that_opens_nothing(shows: dict[int, str]) -> None:
    for seed, text in shows.items():
        assert len(re.findall(r"^00:1\d quiet .* no incident$", text, re.M)) == 1, f"seed {seed}"


def test_a_demo_begins_with_what_it_learned_and_planted_and_ends_with_what_to_do_next(
    shows: dict[int, str],
) -> None:
    first, second, *_, last = shows[7].splitlines()
    assert first.startswith("llm-sentinel demo · seed 7 · 5 services, 3 providers · 14 days")
    assert second.startswith("planted in the next 110 seconds")
    assert last == "next: sentinel replay yours.ndjson --alerts"


def test_two_runs_of_one_seed_print_the_same_but_for_the_time_it_took(
    shows: dict[int, str],
) -> None:
    took = re.compile(r"learned in \d+\.\d s")
    assert len(took.findall(shows[7])) == 1
    assert took.sub("", show(7)) == took.sub("", shows[7])
    assert took.sub("", shows[8]) != took.sub("", shows[7])


@pytest.mark.parametrize("wrong", [("--seed", "-1"), ("--seconds", "-1"), ("--seconds", "inf")])
def test_a_demo_refuses_what_it_cannot_do(wrong: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "demo", *wrong], capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"argument " + wrong[0].encode() + b": got " + wrong[1].encode() in done.stderr
    assert b"Traceback" not in done.stderr
