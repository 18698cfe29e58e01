"""One name per provider, whatever a door calls it and wherever the call went."""

import pytest

from llmobs.recorded.providers import is_private, provider_name, provider_of_host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("mine.openai.azure.com", "azure.ai.openai"),
        ("mine.services.ai.azure.com", "azure.ai.inference"),
        ("models.inference.ai.azure.com", "github"),
        ("api.anthropic.com", "anthropic"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock"),
        ("europe-west1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("api.groq.com", "groq"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.deepseek.com", "deepseek"),
        ("api.perplexity.ai", "perplexity"),
        ("api.x.ai", "x_ai"),
        ("api.cohere.com", "cohere"),
        ("openrouter.ai", "openrouter"),
        ("OpenRouter.AI.", "openrouter"),
        ("api.openai.com:443", "openai"),
        ("https://user:key@api.openai.com/v1/chat", "openai"),
        ("http://localhost:8000/api.openai.com", None),
        ("[::1]:8000", None),
        ("api.together.xyz", "together"),
        ("api.fireworks.ai", "fireworks"),
        ("api.cerebras.ai", "cerebras"),
        ("router.huggingface.co", "huggingface"),
        ("api.z.ai", "z_ai"),
        ("localhost", None),
        ("10.0.0.7", None),
        ("gateway.corp.example", None),
        ("api.openai.com.evil.test", None),
        ("notopenrouter.ai", None),
    ],
)
def test_hosts(host: str, name: str | None) -> None:
    assert provider_of_host(host) == name


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("gcp.gemini", "gemini google google_genai google-gla gcp.gen_ai google.generative-ai"),
        ("gcp.vertex_ai", "vertex_ai google_vertexai google-vertex VertexAI gcp.vertex_ai"),
        ("aws.bedrock", "bedrock amazon_bedrock aws_bedrock amazon-bedrock bedrock_converse AWS"),
        ("mistral_ai", "mistral mistralai mistral-ai MistralAI mistral.chat"),
        ("x_ai", "xai x-ai XAI xai.chat grok"),
        ("azure.ai.openai", "azure azure_openai AzureOpenAI az.ai.openai azure-openai.chat"),
        ("azure.ai.inference", "azure_ai az.ai.inference"),
        ("openai", "openai OpenAI openai-chat openai.responses"),
        ("anthropic", "anthropic Anthropic anthropic.messages"),
        ("moonshot_ai", "moonshot moonshotai"),
        ("ibm.watsonx.ai", "ibm watsonx WatsonX"),
        ("together", "together_ai together-ai TogetherAI"),
        ("fireworks", "fireworks_ai fireworks"),
        ("ollama", "ollama Ollama ollama_chat"),
        ("vllm", "hosted_vllm vllm"),
        ("z_ai", "zai"),
        ("zhipu_ai", "zhipuai"),
        ("mine", " mine "),
    ],
)
def test_spellings(name: str, spellings: str) -> None:
    for spelling in (name, *spellings.split()):
        assert provider_name(spelling) == name, spelling
        assert provider_name(provider_name(spelling)) == name


def test_the_address_knows_better_than_the_wire() -> None:
    assert provider_name("openai", "openrouter.ai") == "openrouter"
    assert provider_name("anthropic", "bedrock-runtime.us-east-1.amazonaws.com") == "aws.bedrock"
    assert provider_name("", "api.groq.com") == "groq"
    assert provider_name("openai", "localhost") == "openai"
    assert provider_name("azure.ai.openai", "api.openai.com") == "azure.ai.openai"
    assert provider_name("", "localhost") == ""


def test_networks_of_ones_own() -> None:
    for host in (
        "localhost", "LOCALHOST:8000", "127.0.0.1", "10.0.0.7:80", "192.168.1.5", "[::1]:8000", "::1",
        "http://vllm:8000/v1", "gpu.internal", "models.llm.svc.cluster.local", "fd00::1",
    ):  # fmt: skip
        assert is_private(host), host
    for host in (
        "api.groq.com",
        "8.8.8.8",
        "gateway.example.com:443",
        "https://llm.example.org/v1",
    ):
        assert not is_private(host), host
