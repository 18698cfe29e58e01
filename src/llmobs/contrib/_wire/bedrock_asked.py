"""
What models of Amazon Bedrock that are no chats are asked in ``InvokeModel``: texts, pictures and films among settings.

Compared with the Bedrock user guide ("Inference request parameters and response fields": Titan's texts, pictures and
vectors, Nova's vectors and pictures, Stability's and TwelveLabs' models, Llama's pictures) and with the types that
litellm 1.110.2 has of them.
"""

from typing import Any, Final

from llmobs.contrib._wire.bedrock import medium
from llmobs.contrib._wire.params import request_params
from llmobs.contrib._wire.wire import Fields
from llmobs.recorded.jsontext import Json, as_list, as_object, as_text
from llmobs.recorded.messages import blob, message, text_part

__all__ = ["asked"]

_TEXTS: Final = frozenset({"inputText", "inputPrompt", "prompt", "text", "value"})
_PICTURES: Final = frozenset(
    {
        "conditionImage", "image", "images", "inputImage", "mask", "maskImage", "referenceImage", "sourceImage",
    }
)  # fmt: skip
_INSIDE: Final = frozenset(
    {
        "colorGuidedGenerationParams", "backgroundRemovalParams", "imageVariationParams", "inPaintingParams",
        "inpaintingParams", "multi_input", "outPaintingParams", "segmentedEmbeddingParams", "singleEmbeddingParams",
        "text", "text_image", "textToImageParams", "virtualTryOnParams",
    }
)  # fmt: skip
"""Objects that hold content and settings of their own."""
_MEDIA: Final = frozenset({"audio", "image", "video"})
_VECTORS: Final = frozenset(
    {
        "dimensions", "embeddingConfig", "embeddingTypes", "inputImage", "inputType", "normalize",
        "segmentedEmbeddingParams", "singleEmbeddingParams",
    }
)  # fmt: skip
"""Members of requests for vectors."""
_MADE: Final = frozenset({"aspect_ratio", "image", "mode", "taskType", "text_prompts"})
"""Members of requests for pictures."""


def asked(body: Json) -> Fields:
    """Read a request that has neither messages nor another provider's words."""
    parts: list[Json] = []
    params: Json = {}
    _sort(body, parts, params)
    plain = len(parts) == 1 and parts[0]["type"] == "text"
    prompt: Any = parts[0]["content"] if plain else [message("user", parts)]
    return {
        "request_params": request_params(params),
        "prompt": prompt if parts else None,
        "operation": _operation(body),
    }


def _operation(body: Json) -> str:
    # A text alone may be for either of Titan's: the answer tells.
    if body.keys() & _VECTORS or body.keys() == {"inputText"}:
        return "embeddings"
    return "generate_content" if body.keys() & _MADE else "text_completion"


def _sort(body: Json, parts: list[Json], params: Json) -> None:
    """Tell content from settings."""
    for name, value in body.items():
        inside = as_object(value)
        if name in _TEXTS and type(value) is str:
            parts.append(text_part(value))
        elif name == "text_prompts":
            parts += [
                text_part(as_text(as_object(each).get("text")) or "") for each in as_list(value)
            ]
        elif name == "mediaSource":
            parts.append(_source(inside))
        elif name in _MEDIA and "source" in inside:
            parts.append(medium(name, inside))
        elif name in _PICTURES and type(value) is not dict:
            pictures = value if type(value) is list else [value]
            parts += [blob("image", None, each) for each in pictures]
        elif name in _INSIDE | _MEDIA and inside:
            _sort(inside, parts, params)
        else:
            params[name] = value


def _source(value: Json) -> Json:
    """Return a medium whose kind nobody says."""
    place = as_text(as_object(value.get("s3Location")).get("uri"))
    if place is not None:
        return {"type": "uri", "modality": "video", "uri": place}
    return blob("video", None, value.get("base64String"))
