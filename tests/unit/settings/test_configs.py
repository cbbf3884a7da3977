"""The files in tests/configs: the good ones load, the bad ones say what their head expects."""

from pathlib import Path

import pytest

from sentinel.errors import SettingsError
from sentinel.settings import Settings, load

CONFIGS = Path(__file__).parents[2] / "configs"
GOOD = sorted(CONFIGS.glob("*.good.yaml"))
BAD = sorted(CONFIGS.glob("*.bad.yaml"))
EXPECT = "# expect: "


def named(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", GOOD, ids=named)
def test_a_good_configuration_loads_without_any_variable(path: Path) -> None:
    assert isinstance(load(path, {}), Settings)


@pytest.mark.parametrize("path", BAD, ids=named)
def test_a_bad_configuration_says_all_that_is_wrong(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    expected = [line.removeprefix(EXPECT) for line in lines if line.startswith(EXPECT)]
    with pytest.raises(SettingsError) as raised:
        load(path, {})
    told = [line.removeprefix(str(path)) for line in str(raised.value).splitlines()]
    assert told == expected


def test_there_are_examples_of_both_kinds() -> None:
    assert len(GOOD) >= 3
    assert len(BAD) >= 12


def test_the_published_example_loads_as_it_is() -> None:
    settings = load(CONFIGS / "readme.good.yaml", {})
    validation = settings.ingestion.validation
    assert (validation.max_latency_ms, validation.max_tokens) == (300_000.0, 100_000)
    assert settings.detection.baseline.persistence_path == "/var/lib/sentinel/baselines"
    assert settings.ingestion.kafka is not None
    assert settings.ingestion.kafka.brokers == ("kafka-0:9092", "kafka-1:9092", "kafka-2:9092")
    assert settings.alerting.rabbitmq is not None
    assert settings.alerting.rabbitmq.retry_config.backoff_multiplier == 2.0
    assert settings.api.bind_addr == "0.0.0.0:8080"


def test_parts_that_do_not_exist_yet_are_named_unless_switched_off() -> None:
    settings = load(CONFIGS / "readme.good.yaml", {})
    assert settings.alerting.webhook is not None
    assert settings.unbuilt() == [
        "storage.influxdb",
        "alerting.rabbitmq",
        "detection.baseline.persistence_path",
    ]
    assert load(None, {}).unbuilt() == []


def test_a_section_with_nothing_in_it_is_as_if_absent() -> None:
    assert load(CONFIGS / "empty_sections.good.yaml", {}) == load(None, {})
