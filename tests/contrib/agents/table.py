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
}
"""By the name of the driver, and the major version where it is not the newest."""
