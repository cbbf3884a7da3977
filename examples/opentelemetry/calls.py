"""What the application does: four calls of a model.  It knows nothing of telemetry."""

import contextlib

from openai import OpenAI, RateLimitError

MODEL = "gpt-4o-mini"


def run() -> None:
    """Ask, ask for a stream, embed, and ask something that is refused."""
    client = OpenAI(max_retries=0)
    client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Write to ann@example.org"}]
    )
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Tell me more"}],
        stream=True,
        # Without it OpenAI tells no tokens of a streamed answer.
        stream_options={"include_usage": True},
    )
    for _ in stream:
        pass
    client.embeddings.create(model="text-embedding-3-small", input="Hello")
    with contextlib.suppress(RateLimitError):
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Please fail"}]
        )
