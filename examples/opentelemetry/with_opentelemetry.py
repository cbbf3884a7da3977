"""An application with the GenAI instrumentation of OpenTelemetry itself.

    pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http openai \\
        opentelemetry-instrumentation-genai-openai
    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_SERVICE_NAME=chat-api
    python with_opentelemetry.py

`OPENAI_BASE_URL` and `OPENAI_API_KEY` say which model; `fake_model.py` is one that costs nothing.
"""

import calls
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()

calls.run()

provider.shutdown()  # sends what waits
