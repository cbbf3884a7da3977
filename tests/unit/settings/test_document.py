"""The JSON Schema: what an editor is told of the configuration."""

from typing import Any

from sentinel.settings import schema

DEFINITIONS: dict[str, Any] = schema()["$defs"]


def test_the_schema_says_range_default_and_meaning_of_a_key() -> None:
    threshold = DEFINITIONS["ZScore"]["properties"]["threshold"]
    assert threshold == {
        "description": "Standard deviations from the mean. Higher is quieter.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1000,
        "default": 3.0,
    }


def test_the_schema_refuses_unknown_keys_in_every_section() -> None:
    for definition in DEFINITIONS.values():
        assert definition["additionalProperties"] is False
        assert definition["description"]


def test_the_schema_marks_secrets() -> None:
    password = DEFINITIONS["Redis"]["properties"]["password"]
    assert {"type": "string", "format": "password", "writeOnly": True, "x-secret": True} in (
        password["anyOf"]
    )


def test_the_schema_is_plain_json_and_the_same_each_time() -> None:
    def visit(node: object) -> None:
        assert isinstance(node, dict | list | str | int | float | bool | None)
        for inner in (
            node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        ):
            visit(inner)

    visit(schema())
    assert schema() == schema()
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
