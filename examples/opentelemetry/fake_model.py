"""A FAKE model behind OpenAI's API: it answers the same to everything, and costs nothing.

    python fake_model.py 9999
    export OPENAI_BASE_URL=http://127.0.0.1:9999/v1 OPENAI_API_KEY=none

A prompt that says `fail` is answered with 429, as by a provider whose limit is reached.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = ("A ", "fake ", "answer.")
CHAT_USAGE = {"prompt_tokens": 42, "completion_tokens": 7, "total_tokens": 49}
EMBEDDING_USAGE = {"prompt_tokens": 5, "total_tokens": 5}
THINKING_SECONDS = 0.05
"""Before an answer, and before each piece of a streamed one."""


class FakeModel(BaseHTTPRequestHandler):
    """Chat completions, streamed ones too, and embeddings."""

    def do_POST(self) -> None:
        """Answer one request."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(THINKING_SECONDS)
        if "fail" in json.dumps(asked.get("messages", "")):
            error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limited"}
            self._say(429, {"error": error})
        elif self.path.endswith("/embeddings"):
            vector = [{"object": "embedding", "index": 0, "embedding": [0.0, 1.0]}]
            self._say(
                200,
                {
                    "object": "list",
                    "model": asked["model"],
                    "data": vector,
                    "usage": EMBEDDING_USAGE,
                },
            )
        elif asked.get("stream"):
            self._stream(asked)
        else:
            message = {"role": "assistant", "content": "".join(ANSWER)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._say(200, completion(asked["model"], choice, usage=CHAT_USAGE))

    def _stream(self, asked: dict[str, Any]) -> None:
        """Answer in pieces; the last tells the tokens where they were asked for."""
        self._begin(200, "text/event-stream")
        for number, piece in enumerate((*ANSWER, None)):
            time.sleep(THINKING_SECONDS)
            delta = {} if piece is None else {"role": "assistant", "content": piece}
            reason = None if piece is not None else "length"
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            self._event(completion(asked["model"], choice, chunk=number))
        if (asked.get("stream_options") or {}).get("include_usage"):
            self._event(completion(asked["model"], usage=CHAT_USAGE, chunk=len(ANSWER) + 1))
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _say(self, status: int, value: dict[str, Any]) -> None:
        self._begin(status, "application/json")
        self.wfile.write(json.dumps(value).encode())

    def _begin(self, status: int, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def completion(model: str, *choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an answer, or with `chunk` a piece of one."""
    kind = "chat.completion" if "chunk" not in more else "chat.completion.chunk"
    usage = more.get("usage")
    return {
        "id": "chatcmpl-fake",
        "object": kind,
        "created": int(time.time()),
        "model": f"{model}-2026-01-01",
        "choices": list(choices),
        **({"usage": usage} if usage else {}),
    }


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), FakeModel).serve_forever()
