"""From a file to settings, and what happens to files that are none."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.errors import SettingsError
from sentinel.settings import load
from sentinel.settings.load import FILE_BYTES_MAX
from sentinel.settings.problems import PROBLEMS_MAX


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "sentinel.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as raised:
        load(path, {})
    return str(raised.value).replace(str(path), "sentinel.yaml")


def test_without_a_file_the_documented_defaults_hold() -> None:
    found = load(None, {})
    assert found.data_dir == "sentinel-data"
    assert found.ingestion.kafka is None
    assert found.ingestion.parsing.sanitize_patterns == ("password", "api_key", "secret")
    validation = found.ingestion.validation
    assert (validation.min_latency_ms, validation.max_latency_ms) == (0.1, 3_600_000.0)
    assert (validation.max_tokens, validation.max_cost_usd) == (10_000_000, 1000.0)
    assert validation.on_limit == "flag"
    baseline = found.detection.baseline
    assert (baseline.window_size, baseline.min_samples, baseline.max_series) == (1000, 10, 100_000)
    assert (found.detection.allowed_lateness_secs, found.detection.time_zone) == (10, "UTC")
    assert found.alerting.deduplication.repeat_interval_secs == 14_400


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    assert load(written(tmp_path, "# nothing yet\n"), {}) == load(None, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(written(tmp_path, b"\xef\xbb\xbfdata_dir: here\n"), {}).data_dir == "here"


def test_text_stays_text_whatever_it_looks_like(tmp_path: Path) -> None:
    path = written(tmp_path, "storage: {redis: {password: 0123, key_prefix: yes}}")
    redis = load(path, {}).storage.redis
    assert redis is not None
    assert redis.password is not None
    assert (redis.password.reveal(), redis.key_prefix) == ("0123", "yes")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.yaml").endswith("cannot be read: No such file or directory")
    assert refusal(tmp_path) == "sentinel.yaml: cannot be read: Is a directory"


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = written(tmp_path, b"#" * (FILE_BYTES_MAX + 1))
    assert refusal(path) == "sentinel.yaml: larger than 1048576 bytes"


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    path = written(tmp_path, b"data_dir: here\napi: \xff\n")
    assert refusal(path) == "sentinel.yaml:2: not UTF-8"
    path = written(tmp_path, b"data_dir: here\n\napi: \x00\n")
    assert refusal(path) == "sentinel.yaml:3: not YAML: control characters are not allowed"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_ends_in_a_message(tmp_path: Path, opening: str) -> None:
    assert refusal(written(tmp_path, opening * 100_000)).startswith("sentinel.yaml:1: ")


def test_a_flood_of_problems_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path, "\n".join(f"{'k' * 50_000}{n}: 1" for n in range(20)))
    assert len(refusal(path)) < 20 * 400
    path = written(tmp_path, "\n".join(f"key{n}: 1" for n in range(1000)))
    lines = refusal(path).splitlines()
    assert len(lines) == PROBLEMS_MAX + 1
    assert lines[-1] == "these are the first 50, there may be more"


def test_a_key_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in refusal(written(tmp_path, r'"\e[31m": 1'))


hostile = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = "detection zscore threshold metrics baseline storage redis password 1 true ~ é latency_ms"
words = st.sampled_from([*WORDS.split(), "${A}", "${B:-1}", "${", "", "'", "!x", "&x", "*x"])
trees = st.recursive(
    words,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(words, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


@hostile
@given(content=st.one_of(trees, st.text(max_size=60), st.binary(max_size=60)))
def test_whatever_a_file_holds_it_loads_or_is_refused(tmp_path: Path, content: str | bytes) -> None:
    with suppress(SettingsError):
        load(written(tmp_path, content), {})


@hostile
@given(content=trees)
def test_no_message_shows_what_a_variable_holds(tmp_path: Path, content: str) -> None:
    try:
        load(written(tmp_path, content), {"A": "hunter2"})
    except SettingsError as error:
        told = str(error)
    else:
        told = ""
    assert "hunter2" not in told
