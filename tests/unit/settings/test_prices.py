"""Prices of one's own: from a file or from the configuration itself, into what intake asks."""

from pathlib import Path

import pytest

from sentinel.errors import SettingsError
from sentinel.settings import Settings, load
from sentinel.settings.prices import price_table


def loaded(folder: Path, prices: str) -> Settings:
    (folder / "prices.yaml").write_text(prices)
    config = folder / "sentinel.yaml"
    config.write_text(f"prices: {{file: {folder}/prices.yaml}}\n")
    return load(config, {})


def test_prices_of_a_file_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "models:\n- {model: Own-1, input_mtok: 2, output_mtok: 4}\n")
    table = price_table(settings.prices)
    assert table is not None
    (price,) = table.prices("own-1", None, "whoever") or ()
    assert (price.input, price.output) == (2e-6, 4e-6)


def test_ones_own_price_outdoes_the_list(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "models:\n- {model: gpt-4o, provider: openai, input_mtok: 77}\n")
    table = price_table(settings.prices)
    assert table is not None
    (own,) = table.prices("gpt-4o", None, "openai") or ()
    assert own.input == 77e-6
    assert (table.prices("gpt-4o", None, "azure") or ())[0].input != 77e-6


def test_a_fault_in_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, "models:\n- {model: a, input_mtok: dear}\n")
    assert str(raised.value) == (
        f"{tmp_path}/prices.yaml:2 prices.models[0].input_mtok: got dear, must be a finite number"
    )


@pytest.mark.parametrize("content", ["", "- a", "prices: []", "models: {}"])
def test_a_file_without_a_list_of_models_is_none(tmp_path: Path, content: str) -> None:
    with pytest.raises(SettingsError, match="no list `models:` in it"):
        loaded(tmp_path, content)


def test_switched_off_there_is_no_table() -> None:
    assert price_table(load(None, {"SENTINEL__PRICES__ENABLED": "false"}).prices) is None
