"""Frameworks of agents that are tried, of which docs/reference/captured.md tells."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Framework:
    """One package, with what its driver needs."""

    packages: tuple[str, ...]
    """What is installed, the package itself first."""
    door: str
    """How it is enabled, as code."""
    recorded: str
    """What of it becomes what; held by its test."""
    not_recorded: str = "-"
    """What does not, and why."""

    @property
    def package(self) -> str:
        return self.packages[0].partition("==")[0].partition("[")[0]

    @property
    def version(self) -> str:
        return self.packages[0].rpartition("==")[2]


FRAMEWORKS: Mapping[str, Framework] = {
    "openai_agents": Framework(
        packages=("openai-agents==0.24.0", "openai==3.57.0"),
        door="llmobs.instrument()",
        recorded=(
            "agents, handoffs, guardrails and custom spans as steps; functions as tools; calls of models, "
            "streamed, failed and left ones; parallel tools, threads, 20 runs at once"
        ),
        not_recorded="voice: its spans are left out; turns and tasks only group what happens inside them.",
    ),
    "mcp": Framework(
        packages=("mcp==2.3.0",),
        door="llmobs.instrument()",
        recorded=(
            "what clients ask: tools, resources, prompts, as tools of their run, which hand on its trace; what servers "
            "serve, as tools of the HTTP request or of runs of their own in the caller's trace; errors, cancelled calls"
        ),
        not_recorded="lists of tools, resources and prompts; sampling and elicitation.",
    ),
    "mcp_1": Framework(
        packages=("mcp==1.30.0",),
        door="llmobs.instrument()",
        recorded="the same of clients",
        not_recorded="servers: version 1 has no place to put something around what they serve.",
    ),
    "litellm": Framework(
        packages=("litellm==1.110.2",),
        door="llmobs.instrument()",
        recorded=(
            "completions (chat and text), responses and embeddings of any provider, sync and async, streamed and "
            "failed, from its cache; its cost, tags and end user"
        ),
        not_recorded=(
            "images, speech, moderations, reranking: the transport sees those of known wires; streams left early, "
            "unless the transport is recorded: LiteLLM tells nobody"
        ),
    ),
    "pydantic_ai": Framework(
        packages=("pydantic-ai-slim[openai]==2.68.0", "opentelemetry-sdk==1.45.2"),
        door="llmobs.instrument()",
        recorded=(
            "runs of agents as steps, tools, calls of models; parallel tools, streams, failures, 20 runs at once"
        ),
        not_recorded=(
            "nothing, where the application instruments agents itself: `LLMObsSpanProcessor` on its provider does it. "
            "Needs `opentelemetry-sdk`"
        ),
    ),
    "llama_index": Framework(
        packages=("llama-index-core==0.14.25", "llama-index-llms-openai==0.8.3"),
        door="llmobs.instrument()",
        recorded=(
            "calls of models (sync, async, streamed, failed), embeddings, tools, retrievers with what they found, and "
            "all else that has a span as steps: query engines, agents, workflows"
        ),
        not_recorded=(
            "reranking is a step; figures of models whose answers are not in OpenAI's words come from the transport"
        ),
    ),
    "tool_runners": Framework(
        packages=("anthropic==2.14.0", "openai==3.57.0"),
        door="llmobs.instrument()",
        recorded=(
            "functions that `client.beta.messages.tool_runner` of anthropic and `ResponsesToolRunner` of openai 3.57.0 "
            "run, sync and async, with what they raise: tools"
        ),
        not_recorded="built-in tools (memory, computer, browser), tools of MCP: by `contrib.mcp`.",
    ),
    "dspy": Framework(
        packages=("dspy==3.4.1", "litellm==1.110.2"),
        door="llmobs.instrument()",
        recorded=(
            "modules as steps; calls of models, by LiteLLM or by its own engine, with their tokens, from its cache; "
            "tools; failures, threads, 20 runs at once"
        ),
        not_recorded=(
            "tokens, where `disable_history` is set and its own engine sends, which no transport of ours sees; "
            "adapters, optimisers, evaluations: what happens inside them is recorded"
        ),
    ),
    "crewai": Framework(
        packages=("crewai==1.15.30",),
        door="llmobs.instrument()",
        recorded="crews, tasks, agents, flows and their methods as steps, tools, calls of models; failures, threads",
        not_recorded="memory, knowledge and reasoning: what happens inside them is.",
    ),
    "smolagents": Framework(
        packages=("smolagents[openai]==1.26.0",),
        door="llmobs.instrument()",
        recorded=(
            "agents, agents that they manage and their steps (plans, code, what came of it) as steps; tools, parallel "
            "ones and those that code calls; calls of models, the application's own among them, streamed, failed and "
            "left ones; threads, 20 runs at once"
        ),
        not_recorded="tools that code calls in a sandbox elsewhere (`executor_type`).",
    ),
    "google_adk": Framework(
        packages=("google-adk==2.13.0",),
        door="llmobs.instrument()",
        recorded=(
            "agents, those they hand over to, use as tools or run in sequence and at once, as steps; tools, parallel "
            "ones, too; calls of models, streamed and failed ones; turns of live sessions; runs left or cancelled; "
            "threads, 20 runs at once"
        ),
        not_recorded=(
            "nodes of workflows that are no agents: what happens inside them is; sound of live sessions, whose turns "
            "come from `contrib.websockets` alone."
        ),
    ),
}
"""By the name of the driver, and the major version where it is not the newest."""
