"""What attributes of spans and log records are called, in every generation that is on the wire.

For each target the names that mean it, the best first: the first that is present counts.  `#`
stands for any number.  Generations: the current GenAI conventions of OpenTelemetry, their
predecessors (up to 1.36), OpenInference, OpenLLMetry (Traceloop) and Langfuse.
"""

from typing import Final

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "service_name": (
        "service.name",
        "openinference.project.name",
        "traceloop.workflow.name",
        "langfuse.trace.name",
    ),
    "environment": (
        "deployment.environment.name",
        "deployment.environment",
        "langfuse.environment",
    ),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "model": (
        "gen_ai.request.model",
        "llm.request.model_name",
        "llm.model_name",
        "embedding.model_name",
        "llm.request.model",
        "langfuse.observation.model.name",
    ),
    "response.model": ("gen_ai.response.model", "llm.response.model_name", "llm.response.model"),
    "kind": (
        "gen_ai.operation.name",
        "openinference.span.kind",
        "llm.request.type",
        "langfuse.observation.type",
        "traceloop.span.kind",
    ),
    # The core reads the first in seconds, the second in seconds or whole nanoseconds.
    "ttft": ("gen_ai.response.time_to_first_chunk", "gen_ai.response.time_to_first_token"),
    "prompt.tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "response.tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "total_tokens": (
        "llm.token_count.total",
        "gen_ai.usage.total_tokens",
        "llm.usage.total_tokens",
    ),
    "cache_read": (
        "gen_ai.usage.cache_read.input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.input_cached_tokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_tokens",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "llm.token_count.completion_details.reasoning",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
    ),
    "cost_amount": ("gen_ai.usage.cost.amount",),
    "cost_currency": ("gen_ai.usage.cost.currency",),
    "cost_usd": ("llm.cost.total", "gen_ai.usage.cost", "operation.cost"),
    "cost_prompt": ("llm.cost.prompt",),
    "cost_completion": ("llm.cost.completion",),
    "user_id": (
        "user.id",
        "enduser.id",
        "enduser.pseudo.id",
        "langfuse.user.id",
        "gen_ai.user",
        "llm.user",
        "traceloop.association.properties.user_id",
        "gen_ai.user.id",
    ),
    "session_id": (
        "gen_ai.conversation.id",
        "session.id",
        "langfuse.session.id",
        "traceloop.association.properties.session_id",
        "gen_ai.session.id",
    ),
    "error_type": ("error.type",),
    "exception_type": ("exception.type",),
    "exception_message": ("exception.message",),
    "response.finish_reason": (
        "gen_ai.response.finish_reasons",
        "llm.finish_reason",
        "gen_ai.response.finish_reason",
        "llm.response.finish_reason",
        "llm.response.stop_reason",
        "gen_ai.completion.#.finish_reason",
    ),
    "prompt.text": (
        "gen_ai.input.messages",
        "gen_ai.prompt",
        "llm.input_messages.#.message.content",
        "gen_ai.prompt.#.content",
        "langfuse.observation.input",
        "input.value",
        "traceloop.entity.input",
    ),
    "response.text": (
        "gen_ai.output.messages",
        "gen_ai.completion",
        "llm.output_messages.#.message.content",
        "gen_ai.completion.#.content",
        "langfuse.observation.output",
        "output.value",
        "traceloop.entity.output",
    ),
    "agent_name": ("gen_ai.agent.name", "agent.name"),
    "prompt_name": (
        "gen_ai.prompt.name",
        "langfuse.observation.prompt.name",
        "traceloop.prompt.key",
    ),
    "prompt_version": (
        "gen_ai.prompt.version",
        "llm.prompt_template.version",
        "langfuse.observation.prompt.version",
        "traceloop.prompt.version",
    ),
    "level": ("langfuse.observation.level",),
    "level_message": ("langfuse.observation.status_message",),
    "usage_details": ("langfuse.observation.usage_details",),
    "cost_details": ("langfuse.observation.cost_details",),
    "first_token_at": ("langfuse.observation.completion_start_time",),
    "parameters": ("llm.invocation_parameters", "embedding.invocation_parameters"),
}

CALLS: Final = (
    "chat",
    "generate_content",
    "text_completion",
    "embeddings",
    "completion",
    "embedding",
    "llm",
    "generation",
)
"""Operations that are one call of a model: agents, tools and workflows only repeat its tokens."""

PROVIDERS: Final = {
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""What providers were called -> what they are called."""
