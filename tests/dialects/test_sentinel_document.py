"""The LLM Sentinel document itself: every signature it prints, and its code, held against ours."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmobs import sentinel

DOCUMENT = Path(__file__).parents[1] / "data" / "sentinel.md"
NAMES = {**vars(typing), **{name: getattr(sentinel, name) for name in sentinel.__all__}}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def blocks() -> Iterator[tuple[str, str]]:
    """Yield each Python block with the class whose section it stands in."""
    section = ""
    for match in re.finditer(
        r"^### (\w+)$|^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S
    ):
        section = match[1] or section
        if match[2]:
            yield section, match[2]


def printed() -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Yield each class and function that the document prints, made whole."""
    for section, code in blocks():
        code = re.sub(r"(-> [^\n:]+)$", r"\1: ...", code, flags=re.M)
        code = re.sub(r"^(class [^\n:]+)$", r"\1: ...", code, flags=re.M)
        code = code.replace("(...)", "(self, *args, **kwargs)").replace("close()", "close(self)")
        code = code.replace("start()", "start(self)").replace("flush()", "flush(self)")
        for node in ast.parse(code).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield section, node


CLASSES = [node for _, node in printed() if isinstance(node, ast.ClassDef)]
METHODS = [
    (section, node)
    for section, node in printed()
    if not isinstance(node, ast.ClassDef)
    and not any(a.arg == "args" for a in [node.args.vararg] if a)
]
BULLETS = [
    (section, *found)
    for section, text in re.findall(r"^### (\w+)\n(.*?)(?=^##)", DOCUMENT.read_text(), re.M | re.S)
    for found in re.findall(r"^- `(\w+)\((.*?)\) -> ", text, re.M)
]


def kind(annotation: Any) -> str:
    """Return an annotation as text, the old spellings made new."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b(typing|uuid|datetime|llmobs\.[\w.]+)\.", "", text)
    text = re.sub(r"\bOptional\[(.*)\]$", r"\1 | None", text)
    return text.replace("List[", "list[").replace("Dict[", "dict[")


def parameters(function: Function) -> list[tuple[str, Any, str | None]]:
    """Return name, default and annotation of what *function* prints."""
    names = function.args.args
    missing = [inspect.Parameter.empty] * (len(names) - len(function.args.defaults))
    defaults = [*missing, *(eval(ast.unparse(d), dict(NAMES)) for d in function.args.defaults)]
    return [
        (a.arg, default, a.annotation and kind(ast.unparse(a.annotation)))
        for a, default in zip(names, defaults, strict=True)
        if a.arg != "self"
    ]


def check(function: Function, ours: Callable[..., Any]) -> None:
    signature = inspect.signature(ours)
    found = [p for p in signature.parameters.values() if p.name not in ("self", "kwargs")]
    assert [(p.name, p.default, kind(p.annotation)) for p in found] == parameters(function)
    assert ("kwargs" in signature.parameters) == (function.args.kwarg is not None)
    assert inspect.iscoroutinefunction(ours) == isinstance(function, ast.AsyncFunctionDef)
    if function.name not in ("__init__",) and function.returns is not None:
        assert kind(signature.return_annotation) == kind(ast.unparse(function.returns))


def test_the_document_is_read_whole() -> None:
    assert {node.name for node in CLASSES} == {
        "SentinelClient", "AsyncSentinelClient", "TelemetryEvent", "PromptInfo", "ResponseInfo",
        "TelemetryEventBuilder", "SentinelConfig", "Severity", "AnomalyType", "DetectionMethod",
        "SentinelError", "ConnectionError", "ValidationError", "SendError", "ConfigurationError",
        "TimeoutError",
    }  # fmt: skip
    assert [(section, node.name) for section, node in METHODS] == [
        *(("SentinelClient", name) for name in ("send", "track", "flush", "close")),
        *(("AsyncSentinelClient", name) for name in ("start", "send", "flush", "close")),
    ]
    assert len(BULLETS) == 5 + 1 + 1 + 17 + 3


@pytest.mark.row(
    "S002", "S033", "S039", "S057", "S062", "S068", "S087", "S114", "S120", "S133", "S145"
)
@pytest.mark.parametrize("printed_class", CLASSES, ids=lambda node: node.name)
def test_a_class_is_as_printed(printed_class: ast.ClassDef) -> None:
    ours = getattr(sentinel, printed_class.name)
    for base in printed_class.bases:
        assert issubclass(ours, eval(ast.unparse(base), {**NAMES, "Enum": __import__("enum").Enum}))
    if any("dataclass" in ast.unparse(d) for d in printed_class.decorator_list):
        check_fields(printed_class, ours)
    elif members := [node for node in printed_class.body if isinstance(node, ast.Assign)]:
        assert {m.name: m.value for m in ours} == {
            ast.unparse(m.targets[0]): ast.literal_eval(m.value) for m in members
        }
    for node in printed_class.body:
        if isinstance(node, ast.FunctionDef):
            check(node, getattr(ours, node.name))


def check_fields(printed_class: ast.ClassDef, ours: Any) -> None:
    wanted = [node for node in printed_class.body if isinstance(node, ast.AnnAssign)]
    fields = dataclasses.fields(ours)
    assert [(f.name, kind(f.type)) for f in fields] == [
        (ast.unparse(node.target), kind(ast.unparse(node.annotation))) for node in wanted
    ]
    for field, node in zip(fields, wanted, strict=True):
        if node.value is None:
            assert field.default is field.default_factory is dataclasses.MISSING
        elif isinstance(node.value, ast.Call):
            assert field.default_factory is not dataclasses.MISSING
        else:
            assert field.default == ast.literal_eval(node.value)


@pytest.mark.row("S006", "S012", "S030", "S031", "S034", "S035", "S037", "S038")
@pytest.mark.parametrize(("section", "function"), METHODS)
def test_a_method_is_as_printed(section: str, function: Function) -> None:
    check(function, getattr(getattr(sentinel, section), function.name))


@pytest.mark.row(
    "S052", "S053", "S054", "S055", "S056", "S061", "S067", "S069", "S111", "S112", "S113"
)
@pytest.mark.parametrize(("section", "name", "arguments"), BULLETS)
def test_a_listed_method_takes_what_is_listed(section: str, name: str, arguments: str) -> None:
    function = ast.parse(f"def {name}({arguments}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    ours = inspect.signature(getattr(getattr(sentinel, section), name))
    found = [p for p in ours.parameters.values() if p.name not in ("self", "kwargs")]
    assert [(p.name, p.default) for p in found] == [p[:2] for p in parameters(function)]


@pytest.mark.row("S170")
def test_the_documents_code_runs() -> None:
    runnable = [code for _, code in blocks() if "import" in code]
    assert len(runnable) == 1
    code = runnable[0].replace("from sentinel_sdk import", "from llmobs.sentinel import")
    expected = re.findall(r'# "(.*)"$', code, re.M)
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert answer.stdout.split() == expected == ["0.1.0"]


@pytest.mark.row("S153")
def test_the_table_of_variables_is_ours() -> None:
    table = re.findall(r"^\| `SENTINEL_(\w+)` \|.*\| (.*?) \|$", DOCUMENT.read_text(), re.M)
    assert len(table) == 13
    config = sentinel.SentinelConfig.from_env()
    for name, default in table:
        value = getattr(config, name.lower())
        shown = ",".join(value) if isinstance(value, list) else value
        assert default.strip("`") == str(shown)
