"""What the description of the API cannot read off a handler: refusals, and the body of ingest."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import Raw

from sentinel.api.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from litestar._openapi.schema_generation.schema import SchemaCreator


def refusal(description: str) -> ResponseSpec:
    """Return an answer that is a problem."""
    return ResponseSpec(
        Problem, description=description, media_type=MEDIA_TYPE, generate_examples=False
    )


REFUSALS: Final = {400: refusal("A parameter or the body cannot be used.")}
"""What every route that takes something may answer."""

_EVENT: Final = Schema(
    type=OpenAPIType.OBJECT,
    description="One call of a language model, in the nested or the flat form.",
    required=["service_name"],
    properties={
        "service_name": Schema(type=OpenAPIType.STRING, min_length=1, max_length=256),
        "model": Schema(type=OpenAPIType.STRING, min_length=1, max_length=256),
        "timestamp": Schema(type=OpenAPIType.STRING, description="RFC 3339; the end of the call."),
        "latency_ms": Schema(type=OpenAPIType.NUMBER, minimum=0),
        "cost_usd": Schema(type=OpenAPIType.NUMBER, minimum=0),
        "prompt": Schema(type=OpenAPIType.OBJECT),
        "response": Schema(type=OpenAPIType.OBJECT),
        "errors": Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING)),
        "user_id": Schema(type=OpenAPIType.STRING),
        "session_id": Schema(type=OpenAPIType.STRING),
        "metadata": Schema(type=OpenAPIType.OBJECT),
    },
)


class RawObjects(OpenAPISchemaPlugin):
    """Describes what is passed on as it was written: a JSON object."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Say whether a type is of this kind."""
        return value is Raw

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: "SchemaCreator"
    ) -> Schema:
        """Return the schema of a field."""
        del field_definition, schema_creator
        return Schema(type=OpenAPIType.OBJECT)


@dataclass
class IngestOperation(Operation):
    """The route whose handler reads the body as bytes."""

    def __post_init__(self) -> None:
        one_or_many = Schema(one_of=[_EVENT, Schema(type=OpenAPIType.ARRAY, items=_EVENT)])
        self.request_body = RequestBody(
            description="One event, an array, or NDJSON; also with content-encoding gzip or zstd.",
            required=True,
            content={
                "application/json": OpenAPIMediaType(schema=one_or_many),
                "application/x-ndjson": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)),
            },
        )


@dataclass
class OtlpOperation(Operation):
    """A route of OpenTelemetry, whose handler reads the body as bytes."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            description="An OTLP request in JSON. Also in protobuf (application/x-protobuf), which "
            "is answered in protobuf, and with content-encoding gzip, zstd or deflate.",
            required=True,
            content={
                "application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT)),
            },
        )
