"""
Names of the OpenTelemetry semantic conventions: the only place where they are spelled out.

GenAI names are those of semantic-conventions v1.41.1 (``docs/gen-ai``), the last full text before
they moved to ``semantic-conventions-genai``; where the two differ, both names are here. All of it
has the status "Development": names will move again, and then this file changes.
"""

from typing import Final

__all__ = [
    "AGENT_NAME", "ALERT_ACTUAL", "ALERT_MODELS", "ALERT_THRESHOLD", "ALERT_TYPE",
    "ALERT_WINDOW_MINUTES", "ASSERTION_ACTUAL", "ASSERTION_EXPECTED", "ASSERTION_TYPE", "CHAT",
    "CHOICE", "COMPLETION", "CONTENT_CHUNK", "CONTENT_COMPLETION", "CONTENT_PROMPT",
    "CONTEXT_PREFIX", "CONVERSATION_ID", "COST_SOURCE", "COST_USD", "CREATE_AGENT",
    "DATA_SOURCE_ID", "DEPLOYMENT_ENVIRONMENT", "DEPLOYMENT_ENVIRONMENT_NAME", "DETECTION_METHOD",
    "EMBEDDINGS", "ERRORS", "ERROR_CODE", "ERROR_CONTEXT_PREFIX", "ERROR_TYPE", "EVALUATION_EXPLANATION",
    "EVALUATION_NAME", "EVALUATION_RESULT", "EVALUATION_SCORE_LABEL", "EVALUATION_SCORE_VALUE",
    "EVALUATION_SOURCE", "EVENT_CONTENT", "EVENT_ID", "EVENT_NAME", "EXCEPTION",
    "EXCEPTION_MESSAGE", "EXCEPTION_STACKTRACE", "EXCEPTION_TYPE", "EXECUTE_TOOL",
    "GENERATE_CONTENT", "GROUND_TRUTH", "HOST_NAME", "HTTP_METHOD", "HTTP_REQUEST_METHOD",
    "HTTP_REQUEST_RESEND_COUNT", "HTTP_RESPONSE_STATUS_CODE", "HTTP_ROUTE", "HTTP_STATUS_CODE",
    "INFERENCE_DETAILS", "INPUT_MESSAGES", "INVOKE_AGENT", "INVOKE_WORKFLOW", "IS_STREAMING",
    "LOGFIRE_PENDING", "LOGFIRE_SPAN_TYPE", "MESSAGE_EVENTS", "METADATA_PREFIX",
    "OPENAI_SERVICE_TIER", "OPERATION_NAME", "OS_TYPE", "OUTPUT_MESSAGES", "OUTPUT_TYPE",
    "PERFORMANCE_ALERT", "PLAN", "PROJECT_ID", "PROMPT", "PROMPT_TEMPLATE_ID", "PROVIDER_NAME",
    "RECOMMENDATIONS", "REQUEST_CHOICE_COUNT", "REQUEST_FREQUENCY_PENALTY", "REQUEST_ID",
    "REQUEST_MAX_TOKENS", "REQUEST_MODEL", "REQUEST_NAMESPACE", "REQUEST_PREFIX",
    "REQUEST_PRESENCE_PENALTY", "REQUEST_SEED", "REQUEST_STOP_SEQUENCES", "REQUEST_STREAM",
    "REQUEST_TEMPERATURE", "REQUEST_TOP_K", "REQUEST_TOP_P", "RESPONSE_FINISH_REASONS",
    "RESPONSE_ID", "RESPONSE_METADATA_PREFIX", "RESPONSE_MODEL", "RESPONSE_SERVICE_TIER",
    "RESPONSE_TIME_TO_FIRST_CHUNK", "RETRIEVAL", "RETRIEVAL_DOCUMENTS", "RETRIEVAL_QUERY",
    "RUNTIME_NAME", "RUNTIME_VERSION", "RUN_CLIENT_ID", "RUN_COST_USD", "RUN_ERRORS", "RUN_EVENTS",
    "RUN_ID", "RUN_KIND", "RUN_PARENT_ID", "RUN_TOKENS_INPUT", "RUN_TOKENS_OUTPUT", "SDK_LANGUAGE",
    "SDK_NAME", "SDK_VERSION", "SERVER_ADDRESS", "SERVICE_NAME", "SERVICE_TIER", "SERVICE_VERSION",
    "SESSION_ID", "SEVERITY", "STATUS", "STEP_NUMBER", "STEP_TYPE", "SYSTEM", "SYSTEM_INSTRUCTIONS",
    "TAGS", "TEXT_COMPLETION", "TIME_TO_FIRST_CHUNK", "TOOL_CALL_ARGUMENTS", "TOOL_CALL_ID",
    "TOOL_CALL_RESULT", "TOOL_DEFINITIONS", "TOOL_NAME", "USAGE_BY_KIND", "USAGE_CACHE_CREATION",
    "USAGE_CACHE_CREATION_FLAT", "USAGE_CACHE_READ", "USAGE_CACHE_READ_FLAT", "USAGE_CACHE_WRITE",
    "USAGE_CACHE_WRITE_FLAT", "USAGE_COMPLETION_TOKENS", "USAGE_DETAILS_PREFIX",
    "USAGE_INPUT_TOKENS", "USAGE_OTHER_PREFIX", "USAGE_OUTPUT_TOKENS", "USAGE_PROMPT_TOKENS",
    "USAGE_RAW", "USAGE_REASONING", "USAGE_REASONING_FLAT", "USAGE_TOTAL_TOKENS", "USER_ID",
    "WARNINGS", "WEIGHT", "WORKFLOW_NAME",
]  # fmt: skip

# Operations and who serves them.
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"

# What was asked.
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"

# What came back.
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds."""
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""Cached tokens included."""
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""Reasoning included."""
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION: Final = "gen_ai.usage.cache_creation.input_tokens"
"""v1.41.1; called `USAGE_CACHE_WRITE` since the move. Write both."""
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_BY_KIND: Final = {
    # Since the move; the keys are those of `llmobs.events.PromptCallEvent.usage`.
    "input_text_tokens": "gen_ai.usage.text.input_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "output_text_tokens": "gen_ai.usage.text.output_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
    "output_image_tokens": "gen_ai.usage.image.output_tokens",
    "cache_text_read_tokens": "gen_ai.usage.text.cache_read.input_tokens",
    "cache_audio_read_tokens": "gen_ai.usage.audio.cache_read.input_tokens",
    "cache_image_read_tokens": "gen_ai.usage.image.cache_read.input_tokens",
}

# Content: recorded only where the application allows it.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

# Tools and agents.
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
AGENT_NAME: Final = "gen_ai.agent.name"

WORKFLOW_NAME: Final = "gen_ai.workflow.name"
DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
RETRIEVAL_QUERY: Final = "gen_ai.retrieval.query.text"
RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"

# Read, never written: what earlier releases of the conventions and other authors called it.
REQUEST_NAMESPACE: Final = "gen_ai.request."
SYSTEM: Final = "gen_ai.system"
"""`PROVIDER_NAME` before v1.37."""
PROMPT: Final = "gen_ai.prompt"
COMPLETION: Final = "gen_ai.completion"
CONTENT_PROMPT: Final = "gen_ai.content.prompt"
"""Name of an event, as is the next."""
CONTENT_COMPLETION: Final = "gen_ai.content.completion"
INFERENCE_DETAILS: Final = "gen_ai.client.inference.operation.details"
"""Name of an event."""
MESSAGE_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
"""Names of events, v1.28 to v1.36, and the role each speaks in."""
EVENT_CONTENT: Final = "gen_ai.event.content"
"""Attribute of those events that holds the whole body as JSON: how Azure's clients write it."""
CHOICE: Final = "gen_ai.choice"
"""Name of the event that holds an answer, v1.28 to v1.36."""
USAGE_PROMPT_TOKENS: Final = "gen_ai.usage.prompt_tokens"
USAGE_COMPLETION_TOKENS: Final = "gen_ai.usage.completion_tokens"
USAGE_CACHE_READ_FLAT: Final = "gen_ai.usage.cache_read_input_tokens"
USAGE_CACHE_CREATION_FLAT: Final = "gen_ai.usage.cache_creation_input_tokens"
USAGE_CACHE_WRITE_FLAT: Final = "gen_ai.usage.cache_write_input_tokens"
USAGE_TOTAL_TOKENS: Final = "gen_ai.usage.total_tokens"
USAGE_DETAILS_PREFIX: Final = "gen_ai.usage.details."
"""Pydantic AI's."""
USAGE_RAW: Final = "gen_ai.usage.raw"
"""Logfire's: what the provider said, as JSON."""
IS_STREAMING: Final = "gen_ai.is_streaming"
"""OpenLLMetry's, as are the next two."""
USAGE_REASONING_FLAT: Final = "gen_ai.usage.reasoning_tokens"
CONTENT_CHUNK: Final = "gen_ai.content.completion.chunk"
"""Name of an event."""
TIME_TO_FIRST_CHUNK: Final = (
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
)
"""Names of metrics that Pydantic AI and OpenLIT write on spans too; seconds."""
RESPONSE_SERVICE_TIER: Final = "gen_ai.response.service_tier"
"""LangSmith's."""
OPENAI_SERVICE_TIER: Final = "gen_ai.openai.response.service_tier"

# Evaluations.
EVALUATION_RESULT: Final = "gen_ai.evaluation.result"
"""Name of an event."""
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
EVALUATION_SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
EVALUATION_SOURCE: Final = "llmobs.evaluation.source"

# Values of OPERATION_NAME.
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
INVOKE_AGENT: Final = "invoke_agent"
CREATE_AGENT: Final = "create_agent"
INVOKE_WORKFLOW: Final = "invoke_workflow"
PLAN: Final = "plan"
RETRIEVAL: Final = "retrieval"
TEXT_COMPLETION: Final = "text_completion"
GENERATE_CONTENT: Final = "generate_content"
EMBEDDINGS: Final = "embeddings"

# General conventions.
ERROR_TYPE: Final = "error.type"
EXCEPTION: Final = "exception"
"""Name of an event."""
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
SERVER_ADDRESS: Final = "server.address"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_RESEND_COUNT: Final = "http.request.resend_count"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
HTTP_METHOD: Final = "http.method"
"""`HTTP_REQUEST_METHOD` before v1.20, as the next one is `HTTP_RESPONSE_STATUS_CODE`."""
HTTP_STATUS_CODE: Final = "http.status_code"
EVENT_NAME: Final = "event.name"
"""Attribute of log records, before they had a field for it."""
LOGFIRE_SPAN_TYPE: Final = "logfire.span_type"
LOGFIRE_PENDING: Final = "pending_span"
"""Value of it: a span that has begun; it is sent again when it has ended."""
SESSION_ID: Final = "session.id"
USER_ID: Final = "user.id"

# Resource.
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment"
"""The same before v1.27."""
HOST_NAME: Final = "host.name"
OS_TYPE: Final = "os.type"
RUNTIME_NAME: Final = "process.runtime.name"
RUNTIME_VERSION: Final = "process.runtime.version"
SDK_NAME: Final = "telemetry.sdk.name"
SDK_LANGUAGE: Final = "telemetry.sdk.language"
SDK_VERSION: Final = "telemetry.sdk.version"

# Ours: what the conventions have no name for.
EVENT_ID: Final = "llmobs.event.id"
RUN_ID: Final = "llmobs.run.id"
RUN_KIND: Final = "llmobs.run.kind"
RUN_CLIENT_ID: Final = "llmobs.run.client_id"
"""The id that an untrusted caller gave the run."""
RUN_PARENT_ID: Final = "llmobs.run.parent_id"
"""The run that started the run."""
RUN_EVENTS: Final = "llmobs.run.events"
RUN_ERRORS: Final = "llmobs.run.errors"
RUN_TOKENS_INPUT: Final = "llmobs.run.tokens_input"
RUN_TOKENS_OUTPUT: Final = "llmobs.run.tokens_output"
RUN_COST_USD: Final = "llmobs.run.cost_usd"
"""Sums of a run do not use the usage names: backends would count every call twice."""
PROJECT_ID: Final = "llmobs.project.id"
STATUS: Final = "llmobs.status"
TAGS: Final = "llmobs.tags"
WARNINGS: Final = "llmobs.warnings"
WEIGHT: Final = "llmobs.weight"
"""How many like it an event stands for, where others were left out."""
COST_USD: Final = "llmobs.cost_usd"
COST_SOURCE: Final = "llmobs.cost_source"
USAGE_OTHER_PREFIX: Final = "llmobs.usage."
PROMPT_TEMPLATE_ID: Final = "llmobs.prompt_template.id"
REQUEST_ID: Final = "llmobs.request.id"
SERVICE_TIER: Final = "llmobs.service_tier"
ERRORS: Final = "llmobs.errors"
STEP_NUMBER: Final = "llmobs.step.number"
STEP_TYPE: Final = "llmobs.step.type"
ASSERTION_TYPE: Final = "llmobs.assertion.type"
ASSERTION_EXPECTED: Final = "llmobs.assertion.expected"
ASSERTION_ACTUAL: Final = "llmobs.assertion.actual"
SEVERITY: Final = "llmobs.severity"
DETECTION_METHOD: Final = "llmobs.detection.method"
GROUND_TRUTH: Final = "llmobs.ground_truth"
RECOMMENDATIONS: Final = "llmobs.recommendations"
PERFORMANCE_ALERT: Final = "llmobs.performance_alert"
"""Name of an event."""
ALERT_TYPE: Final = "llmobs.alert.type"
ALERT_THRESHOLD: Final = "llmobs.alert.threshold"
ALERT_ACTUAL: Final = "llmobs.alert.actual_value"
ALERT_WINDOW_MINUTES: Final = "llmobs.alert.window_minutes"
ALERT_MODELS: Final = "llmobs.alert.affected_models"

METADATA_PREFIX: Final = "llmobs.metadata."
RESPONSE_METADATA_PREFIX: Final = "llmobs.response_metadata."
ERROR_CODE: Final = "llmobs.error.code"
"""The provider's own code of an error."""
ERROR_CONTEXT_PREFIX: Final = "llmobs.error.context."
CONTEXT_PREFIX: Final = "llmobs.context."
REQUEST_PREFIX: Final = "llmobs.request."
