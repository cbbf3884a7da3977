"""Variables in values, overrides, and where secrets come from."""

from pathlib import Path

import msgspec
import pytest

from sentinel.errors import SettingsError
from sentinel.settings import Secret, Settings, load
from sentinel.settings.environment import SECRETS

VARIABLES = Path(__file__).parents[2] / "configs" / "variables.good.yaml"


def read(tmp_path: Path, content: str, **environ: str) -> Settings:
    path = tmp_path / "sentinel.yaml"
    path.write_text(content, "utf-8")
    return load(path, environ)


def refusal(tmp_path: Path, content: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, content, **environ)
    return str(raised.value).replace(str(tmp_path), "").replace("/sentinel.yaml", "sentinel.yaml")


def test_a_default_stands_in_for_an_unset_or_empty_variable() -> None:
    for environ in ({}, {"SENTINEL_HOME": "", "WINDOW": ""}):
        found = load(VARIABLES, environ)
        assert found.data_dir == "/srv/data"
        assert found.detection.baseline.window_size == 500
        assert found.detection.baseline.enable_persistence is False
        assert found.detection.mad.threshold == 4.5


def test_a_variable_takes_the_type_of_its_key() -> None:
    environ = {"WINDOW": "700", "PERSIST": "true", "MAD_THRESHOLD": "5", "SENTINEL_HOME": "1"}
    found = load(VARIABLES, environ)
    assert found.data_dir == "1/data"
    assert found.detection.baseline.window_size == 700
    assert found.detection.baseline.enable_persistence is True
    assert found.detection.mad.threshold == 5.0


def test_an_unset_variable_without_a_default_takes_its_key_out() -> None:
    redis = load(VARIABLES, {}).storage.redis
    assert redis is not None
    assert redis.url is None
    redis = load(VARIABLES, {"REDIS_HOST": "cache"}).storage.redis
    assert redis is not None
    assert redis.url == "redis://cache:6379"


def test_an_unset_variable_takes_its_item_out_of_a_list(tmp_path: Path) -> None:
    content = "ingestion: {kafka: {brokers: ['${A}', 'b:9092']}}"
    kafka = read(tmp_path, content).ingestion.kafka
    assert kafka is not None
    assert kafka.brokers == ("b:9092",)


def test_two_dollars_are_one_and_what_a_variable_holds_is_left_alone(tmp_path: Path) -> None:
    redis = load(VARIABLES, {}).storage.redis
    assert redis is not None
    assert redis.password == Secret("pa$word")
    found = read(tmp_path, "data_dir: $HOME/${A}/$${B}", A="${B}$$", B="never")
    assert found.data_dir == "$HOME/${B}$$/${B}"


def test_a_message_shows_the_variable_and_not_what_it_holds(tmp_path: Path) -> None:
    content = "detection:\n  mad: {threshold: '${LIMIT}'}"
    told = refusal(tmp_path, content, LIMIT="hunter2")
    assert told == "sentinel.yaml:2 detection.mad.threshold: got ${LIMIT}, must be a finite number"


def test_an_override_wins_over_the_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "detection: {zscore: {threshold: 2.0, sensitivity: low}}",
        SENTINEL__DETECTION__ZSCORE__THRESHOLD="4",
        SENTINEL__DETECTION__MAD="{threshold: 5.5}",
        SENTINEL__DETECTION__ENABLED_DETECTORS="[mad, 'iqr']",
        SENTINEL__INGESTION__KAFKA__TOPIC="calls",
        SENTINEL__INGESTION__KAFKA__BROKERS="['kafka:9092']",
        SENTINEL__DATA_DIR="${HOME}",
        SENTINEL_LOG_LEVEL="debug",
    )
    assert (found.detection.zscore.threshold, found.detection.zscore.sensitivity) == (4.0, "low")
    assert found.detection.mad.threshold == 5.5
    assert found.detection.enabled_detectors == ("mad", "iqr")
    assert found.ingestion.kafka is not None
    assert found.ingestion.kafka.topic == "calls"
    assert found.data_dir == "${HOME}"


def test_an_empty_override_gives_the_default_back(tmp_path: Path) -> None:
    content = "detection: {mad: {threshold: 9}}"
    for nothing in ("", "null", "~"):
        found = read(tmp_path, content, SENTINEL__DETECTION__MAD__THRESHOLD=nothing)
        assert found.detection.mad.threshold == 3.5


def test_an_override_fills_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    found = read(tmp_path, "detection:\n", SENTINEL__DETECTION__MAD__THRESHOLD="9")
    assert found.detection.mad.threshold == 9.0


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DETECTION__MAD__THRESHOLD", "0", "detection.mad.threshold: got 0, must be > 0"),
        ("DETECTION__MED__THRESHOLD", "3", "detection.med: unknown key, did you mean mad?"),
        ("DATA_DIR__PATH", "x", "data_dir: not a section, has no keys"),
        ("DETECTION", "[1", ": not YAML: did not find expected ',' or ']'"),
        ("DETECTION", "{mad: {}, mad: {}}", "mad: given twice"),
        ("DATA_DIR", "\udcff", "data_dir: not UTF-8"),
        ("DETECTION", "[\udcff]", ": not UTF-8"),
    ],
)
def test_a_bad_override_is_told_by_its_variable(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    variable = f"SENTINEL__{variable}"
    lines = refusal(tmp_path, "data_dir: here", **{variable: value}).splitlines()
    assert (f"{variable}{told}" if told.startswith(":") else f"{variable} {told}") in lines


def test_every_secret_of_the_settings_has_its_variable() -> None:
    found = []

    def visit(kind: msgspec.inspect.Type, path: str) -> None:
        if isinstance(kind, msgspec.inspect.Metadata):
            visit(kind.type, path)
        elif isinstance(kind, msgspec.inspect.UnionType):
            for one in kind.types:
                visit(one, path)
        elif isinstance(kind, msgspec.inspect.StructType):
            for field in kind.fields:
                visit(field.type, f"{path}.{field.name}" if path else field.name)
        elif isinstance(kind, msgspec.inspect.CustomType):
            assert kind.cls is Secret
            found.append(path)

    visit(msgspec.inspect.type_info(Settings), "")
    assert sorted(found) == sorted(SECRETS)


def test_a_secret_comes_from_its_variable_only_where_its_section_is_silent(tmp_path: Path) -> None:
    redis = read(tmp_path, "storage: {redis: {}}", REDIS_PASSWORD="hunter2").storage.redis
    assert redis is not None
    assert redis.password == Secret("hunter2")
    content = "storage: {redis: {password: mine}}"
    redis = read(tmp_path, content, REDIS_PASSWORD="hunter2").storage.redis
    assert redis is not None
    assert redis.password == Secret("mine")
    assert read(tmp_path, "data_dir: x", REDIS_PASSWORD="hunter2").storage.redis is None


def test_all_four_variables_reach_their_fields(tmp_path: Path) -> None:
    content = "storage: {influxdb: {}, redis: {}}\nalerting: {rabbitmq: {}, webhook: {}}"
    environ = {variable: variable.lower() for variable in SECRETS.values()}
    found = read(tmp_path, content, **environ)
    assert found.storage.influxdb is not None
    assert found.storage.redis is not None
    assert found.alerting.rabbitmq is not None
    assert found.alerting.webhook is not None
    assert found.storage.influxdb.token == Secret("influxdb_token")
    assert found.storage.redis.password == Secret("redis_password")
    assert found.alerting.rabbitmq.password == Secret("rabbitmq_password")
    assert found.alerting.webhook.secret == Secret("webhook_secret")


def test_a_secret_is_read_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "word").write_text(" hunter2 \n", "utf-8")
    content = f"storage: {{redis: {{password_file: {tmp_path}/word}}}}"
    redis = read(tmp_path, content, REDIS_PASSWORD="other").storage.redis
    assert redis is not None
    assert redis.password == Secret(" hunter2 ")


def test_a_secret_file_that_is_not_there_is_like_an_unset_variable(tmp_path: Path) -> None:
    redis = read(tmp_path, "storage: {redis: {password_file: /nowhere/word}}").storage.redis
    assert redis is not None
    assert redis.password is None


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    told = refusal(tmp_path, f"storage: {{redis: {{password_file: {tmp_path}}}}}")
    assert told == "sentinel.yaml:1 storage.redis.password_file: cannot be read: Is a directory"
    (tmp_path / "word").write_bytes(b"\xff")
    told = refusal(tmp_path, f"storage: {{redis: {{password_file: {tmp_path}/word}}}}")
    assert told == "sentinel.yaml:1 storage.redis.password_file: not UTF-8"
    told = refusal(tmp_path, "storage: {redis: {password_file: /dev/zero}}")
    assert told == "sentinel.yaml:1 storage.redis.password_file: larger than 65536 bytes"


def test_a_secret_override_may_begin_with_any_sign(tmp_path: Path) -> None:
    environ = {"SENTINEL__STORAGE__REDIS__PASSWORD": "[*&!{ #x"}
    redis = read(tmp_path, "data_dir: x", **environ).storage.redis
    assert redis is not None
    assert redis.password == Secret("[*&!{ #x")


def test_settings_never_show_a_secret(tmp_path: Path) -> None:
    found = read(tmp_path, "storage: {redis: {password: hunter2}}")
    for shown in (
        repr(found),
        str(found),
        f"{found}",
        repr(msgspec.to_builtins(found.storage.redis, enc_hook=str)),
    ):
        assert "hunter2" not in shown
        assert "***" in shown
    with pytest.raises(TypeError):
        msgspec.json.encode(found)
