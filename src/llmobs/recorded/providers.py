"""
Who serves a model: one name per provider, however a door, a library or a caller spells it.

Where the OpenTelemetry GenAI conventions have a name (``gen_ai.provider.name``) it is theirs; for
others it is the provider's own in the same style. A sum by provider would fall apart otherwise.
"""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

__all__ = ["HOSTS", "NAMES", "SELF_HOSTED", "is_private", "provider_name", "provider_of_host"]

NAMES: Final[dict[str, str]] = {
    # name: other spellings, of which only letters and digits count
    "anthropic": "claude",
    "arcee": "arcee_ai",
    "aws.bedrock": "amazon amazon_bedrock aws aws_bedrock bedrock bedrock_converse bedrock_runtime"
    " anthropic_bedrock chat_bedrock chat_bedrock_converse",
    "azure.ai.inference": "az.ai.inference azure_ai azure_ai_foundry azure_ai_inference",
    "azure.ai.openai": "az.ai.openai azure azure_openai azure_open_ai azure_chat_openai",
    "baseten": "",
    "cerebras": "cerebras_ai",
    "cloudflare": "cloudflare_workers_ai workers_ai",
    "cohere": "cohere_chat",
    "dashscope": "alibaba alibaba_cloud qwen tongyi",
    "databricks": "",
    "deepinfra": "deep_infra",
    "deepseek": "deep_seek",
    "elevenlabs": "eleven_labs",
    "fireworks": "fireworks_ai",
    "gcp.gemini": "gemini google google_ai google_ai_studio google_genai google_gla"
    " google_generative_ai gcp_gen_ai",
    "gcp.vertex_ai": "google_anthropic_vertex anthropic_vertex google_vertex google_vertex_ai"
    " vertex vertex_ai vertex_ai_beta",
    "github": "github_models",
    "github_copilot": "",
    "groq": "groq_ai",
    "huggingface": "hf huggingface_hub hugging_face huggingface_router",
    "ibm.watsonx.ai": "ibm watsonx watsonx_ai ibm_watsonx",
    "jina_ai": "jina",
    "llama_cpp": "llama_cpp_python llamafile",
    "lm_studio": "",
    "localai": "",
    "meta": "meta_llama llama_api",
    "minimax": "",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshot kimi",
    "nebius": "nebius_ai token_factory",
    "novita": "novita_ai",
    "nvidia_nim": "nvidia nvidia_ai_endpoints",
    "ollama": "ollama_chat chat_ollama",
    "openai": "open_ai openai_chat openai_responses openai_completions text_completion_openai"
    " chat_openai",
    "openrouter": "open_router",
    "ovhcloud": "ovh",
    "perplexity": "perplexity_ai pplx",
    "replicate": "",
    "sambanova": "samba_nova",
    "sglang": "",
    "tgi": "text_generation_inference",
    "together": "together_ai together_computer",
    "vllm": "hosted_vllm vllm_openai",
    "voyage_ai": "voyage",
    "x_ai": "xai grok",
    "z_ai": "zai",
    "zhipu_ai": "zhipu bigmodel",
}
"""The names, and how others spell them."""

SELF_HOSTED: Final = frozenset(
    {"llama_cpp", "lm_studio", "localai", "ollama", "sglang", "tgi", "vllm"}
)
"""Servers that one runs oneself: what a call costs there, no price list knows."""

HOSTS: Final = (
    (r"(.*\.)?api\.openai\.com", "openai"),
    (r"api\.anthropic\.com", "anthropic"),
    (r".*\.openai\.azure\.(com|us|cn)|.*\.cognitiveservices\.azure\.(com|us)", "azure.ai.openai"),
    (r"models\.(github\.ai|inference\.ai\.azure\.com)", "github"),
    (r".*\.(services|inference)\.ai\.azure\.(com|us)", "azure.ai.inference"),
    (r"bedrock.*\.amazonaws\.com(\.cn)?|.*\.api\.aws", "aws.bedrock"),
    (r"(.*-)?aiplatform\.googleapis\.com|aiplatform\..*\.rep\.googleapis\.com", "gcp.vertex_ai"),
    (r"generativelanguage\.googleapis\.com", "gcp.gemini"),
    (r"api\.groq\.com", "groq"),
    (r"(api|codestral)\.mistral\.ai", "mistral_ai"),
    (r"api\.deepseek\.com", "deepseek"),
    (r"api\.perplexity\.ai", "perplexity"),
    (r"(.*\.)?api\.x\.ai", "x_ai"),
    (r"api\.cohere\.(com|ai)", "cohere"),
    (r"api\.moonshot\.(ai|cn)", "moonshot_ai"),
    (r".*\.ml\.cloud\.ibm\.com", "ibm.watsonx.ai"),
    # From here on the conventions have no name.
    (r"(api\.)?ollama\.com", "ollama"),
    (r"(api\.)?openrouter\.ai", "openrouter"),
    (r"api\.together\.(xyz|ai)", "together"),
    (r"(.*\.)?api\.fireworks\.ai", "fireworks"),
    (r"api\.cerebras\.ai", "cerebras"),
    (r"router\.huggingface\.co|api-inference\.huggingface\.co|.*\.endpoints\.huggingface\.cloud",
     "huggingface"),
    (r"api\.z\.ai", "z_ai"),
    (r"open\.bigmodel\.cn", "zhipu_ai"),
    (r"api\.deepinfra\.com", "deepinfra"),
    (r"api\.novita\.ai", "novita"),
    (r"api\.sambanova\.ai", "sambanova"),
    (r"api\.minimaxi?\.(com|io|chat)", "minimax"),
    (r"api\.arcee\.ai", "arcee"),
    (r"inference\.baseten\.co", "baseten"),
    (r"api\.(studio|tokenfactory)\.nebius\.(com|ai)", "nebius"),
    (r"integrate\.api\.nvidia\.com", "nvidia_nim"),
    (r"dashscope(-.*)?\.aliyuncs\.com", "dashscope"),
    (r"oai\.endpoints\.kepler\.ai\.cloud\.ovh\.net", "ovhcloud"),
    (r"api(\..*)?\.githubcopilot\.com", "github_copilot"),
    (r"api\.voyageai\.com|ai\.mongodb\.com", "voyage_ai"),
    (r"api\.jina\.ai", "jina_ai"),
    (r"api\.(.*\.)?elevenlabs\.io", "elevenlabs"),
    (r"api\.(meta\.ai|llama\.com)", "meta"),
    (r".*\.(cloud\.databricks\.com|azuredatabricks\.net|gcp\.databricks\.com)", "databricks"),
    (r"api\.cloudflare\.com", "cloudflare"),
    (r"api\.replicate\.com", "replicate"),
)  # fmt: skip

"""Where providers answer: patterns of host names."""

# What SDKs name when they only know whose wire they speak: the address knows better.
_WIRES: Final = frozenset({"openai", "anthropic"})
# AI SDK and others append the interface: `openai.chat`, `google.generative-ai`.
_INTERFACE: Final = re.compile(
    r"\.(chat|responses|messages|completions?|embeddings?|image|speech|transcription)$"
)


def _folded(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_SPELLINGS: Final = {
    _folded(spelling): name
    for name, others in NAMES.items()
    for spelling in (name, *others.split())
}
_compiled: Final = tuple((re.compile(pattern), name) for pattern, name in HOSTS)


@lru_cache(maxsize=1024)
def provider_of_host(host: str) -> str | None:
    """
    Return the name of the provider behind *host*, None if nobody knows it.

    Args:
        host: A host name, also with a port, or a URL.
    """
    host = _name_of(host)
    return next((name for pattern, name in _compiled if pattern.fullmatch(host)), None)


def is_private(host: str) -> bool:
    """Whether *host* is this machine, or a name or an address of a network of one's own."""
    name = _name_of(host)
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_ENDS)
    return address.is_private or address.is_loopback or address.is_link_local


_PRIVATE_ENDS: Final = (".internal", ".lan", ".local", ".localhost", ".home.arpa")


def _name_of(host: str) -> str:
    if "://" in host:
        host = host.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if host.count(":") == 1 or host.startswith("["):  # more are an address of IPv6
        host = re.sub(r":\d*$", "", host)
    return host.lower().rstrip(".")


@lru_cache(maxsize=1024)
def provider_name(spelling: str, host: str | None = None) -> str:
    """
    Return the one name of the provider that is spelled *spelling*; an unknown one as it is.

    Args:
        spelling: What a library, a span or a caller calls it: ``google_genai``, ``AzureOpenAI``,
            ``openai.chat``. May be empty.
        host: Where the call went, if known. It wins over ``openai`` and ``anthropic``, which say
            whose wire was spoken, and over nothing.
    """
    spelling = spelling.strip()
    name = _SPELLINGS.get(_folded(spelling))
    if name is None:
        name = _SPELLINGS.get(_folded(_INTERFACE.sub("", spelling.lower())), spelling)
    if host and (name in _WIRES or not name):
        return provider_of_host(host) or name
    return name
