"""The floors: imports point down. And what every public module promises of its names."""

import ast
import importlib
import pkgutil
import types
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

import llmobs

ROOT = Path(llmobs.__file__).parent

# Lower may not import higher; within a floor, imports follow the order written here.
FLOORS = (
    ("recorded", "errors", "events", "codec"),
    ("runtime", "redaction", "policy", "validation", "settings"),
    ("pipeline",),
    ("store", "sinks"),
    ("capture", "client"),
    (
        "describe",
        "answers",
        "mcp",
        "viewer",
        "contrib",
        "sentinel",
        "watchllm",
        "testing",
        "_pytest_plugin",
        "server",
        "cli",
        "__main__",
    ),
)
# Doors that may use another door.
DOORS = {
    ("contrib.starlette", "contrib.asgi"),
    ("contrib.fastapi", "contrib.asgi"),
    ("contrib.fastapi", "contrib.starlette"),
    ("contrib.django", "contrib.asgi"),
    ("contrib.django", "cli"),  # manage.py llmobs
    ("contrib.openai", "contrib.httpx"),
    ("contrib.anthropic", "contrib.httpx"),
    ("__main__", "cli"),
    ("cli", "server"),
    ("cli", "describe"),
    ("answers", "describe"),
    ("viewer", "answers"),
    ("viewer", "describe"),
    ("server", "answers"),
    ("mcp", "answers"),
    ("mcp", "describe"),
    ("server", "mcp"),
    ("cli", "mcp"),
    ("server", "viewer"),
    ("contrib.starlette", "viewer"),
    ("contrib.starlette", "answers"),
    ("contrib.django", "viewer"),
    ("contrib.django", "answers"),
    ("contrib", "contrib.asgi"),
    ("contrib", "viewer"),
    ("contrib", "answers"),
    ("server", "contrib"),
    ("_pytest_plugin", "testing"),
    # The WatchLLM document names functions that instrument providers, and a LangChain handler.
    ("watchllm", "contrib.httpx"),
    ("watchllm", "contrib.openai"),
    ("watchllm", "contrib.anthropic"),
    ("watchllm", "contrib.langchain"),
}
LOWEST_DOOR = len(FLOORS) - 1


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield ("" if name == "__init__" else name), path


def room(module: str) -> str:
    """`contrib.asgi` and `sinks`: what the table of floors speaks of."""
    parts = module.split(".")
    if parts[0] != "contrib":
        return parts[0]
    # A private package beside the doors belongs to the lowest door that uses it.
    return ".".join(parts[:2]) if len(parts) > 1 and not parts[1].startswith("_") else "contrib"


def floor(module: str) -> tuple[int, int]:
    name = module.split(".")[0]
    for number, rooms in enumerate(FLOORS):
        if name in rooms:
            return number, rooms.index(name)
    raise AssertionError(f"llmobs.{module} stands on no floor; put it on one")


@dataclass
class Found:
    """What one walk over a file finds."""

    imports: list[str] = field(default_factory=list)
    """Modules of ours, without the package's name; none that are for types alone."""
    prints: bool = False
    gen_ai: list[str] = field(default_factory=list)


@cache
def found(path: Path) -> Found:
    answer = Found()
    for_types: set[ast.AST] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for_types.update(node.body)
            case ast.ImportFrom() if node not in for_types:
                assert node.level == 0, f"{path}: relative import"
                if node.module == "llmobs":
                    names = (alias.name for alias in node.names)
                    answer.imports.extend(name for name in names if name != "__version__")
                elif (node.module or "").startswith("llmobs."):
                    answer.imports.append((node.module or "").removeprefix("llmobs."))
            case ast.Import() if node not in for_types:
                answer.imports.extend(
                    alias.name.removeprefix("llmobs.")
                    for alias in node.names
                    if alias.name.startswith("llmobs.")
                )
            case ast.Call(func=ast.Name(id="print")):
                answer.prints = True
            case ast.Constant(value=str(text)) if text.startswith("gen_ai."):
                answer.gen_ai.append(text)
    return answer


@pytest.mark.parametrize(("module", "path"), [pair for pair in modules() if pair[0]])
def test_imports_point_down(module: str, path: Path) -> None:
    mine, place = floor(module)
    for name in found(path).imports:
        theirs, their_place = floor(name)
        if room(name) == room(module) or (mine == LOWEST_DOOR and room(name) == "contrib"):
            continue
        if mine == theirs == LOWEST_DOOR:
            assert (room(module), room(name)) in DOORS, f"{module} uses another door: {name}"
        else:
            assert (theirs, their_place) < (mine, place), f"{module} imports upwards: {name}"


@pytest.mark.parametrize("root", [ROOT, ROOT.parent.parent / "benchmarks"], ids=lambda r: r.name)
def test_no_modules_import_each_other(root: Path) -> None:
    """Nor for types alone; but for the roof, which everything may ask for the version."""
    paths = {
        ".".join((root.name, *path.relative_to(root).with_suffix("").parts)): path
        for path in root.rglob("*.py")
    }
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    left = {
        name: {*_imported(path, paths)} & {*paths} - {name, "llmobs"}
        for name, path in paths.items()
    }
    while free := {name for name, imported in left.items() if not imported}:
        left = {name: of - free for name, of in left.items() if name not in free}
    assert not left, f"in a circle, or above one: {sorted(left)}"


def _imported(path: Path, modules: Container[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in modules else node.module for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_roof_shows_floors_zero_one_and_four() -> None:
    assert not any(
        name.split(".")[0] in FLOORS[LOWEST_DOOR] for name in found(ROOT / "__init__.py").imports
    )


@pytest.mark.parametrize(
    "name",
    [
        info.name
        for info in pkgutil.walk_packages([str(ROOT)], "llmobs.")
        if "._" not in info.name and not info.name.endswith("__main__")
    ],
)
def test_all_lists_what_a_module_offers(name: str) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        assert hasattr(module, "__path__"), f"{name} has no __all__"
        return
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), f"{name}.{public} is in __all__ and is not there"


def test_the_top_level_list_is_sorted_complete_and_real() -> None:
    assert llmobs.__all__ == sorted(llmobs.__all__)
    for name in llmobs.__all__:
        assert not isinstance(getattr(llmobs, name), types.ModuleType)
    with pytest.raises(AttributeError, match="no_such_name"):
        llmobs.no_such_name
    assert set(llmobs.__all__) <= set(dir(llmobs))


def test_nothing_prints_and_files_stay_small() -> None:
    for module, path in modules():
        assert module.startswith("cli") or not found(path).prints, f"{module} prints"
        lines = path.read_text().count("\n")
        assert lines <= 650, f"{module} is too long to have one reason to change"


def test_doors_of_frameworks_stay_small() -> None:
    doors = {
        module: path.read_text().count("\n")
        for module, path in modules()
        if module.startswith("contrib.")
        and "._" not in module
        and "contrib._agents.work" in found(path).imports
    }
    assert len(doors) >= 9
    assert {name: lines for name, lines in doors.items() if lines > 150} == {}


def test_gen_ai_names_live_in_semconv_only() -> None:
    for module, path in modules():
        assert module == "recorded.semconv" or found(path).gen_ai == [], module
