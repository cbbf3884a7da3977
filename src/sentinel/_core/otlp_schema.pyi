"""Which bytes are an OTLP request, and which are none."""

from typing import Final

SCHEMA: Final[dict[str, dict[int, str]]]

def is_request(message: int, body: bytes) -> bool:
    """Tell whether a body is a request: of traces (0), logs (1) or metrics (2)."""
