"""The floors: imports point down. And what every public module promises of its names."""

import ast
import importlib
import pkgutil
import types
from collections.abc import Container, Iterator
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


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    only_for_types = {
        id(inner)
        for node in nodes(path)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in node.body
    }
    for node in nodes(path):
        if id(node) in only_for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "llmobs":
                yield from (alias.name for alias in node.names if alias.name != "__version__")
            elif (node.module or "").startswith("llmobs."):
                yield (node.module or "").removeprefix("llmobs.")
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("llmobs.")
                for alias in node.names
                if alias.name.startswith("llmobs.")
            )


@pytest.mark.parametrize(("module", "path"), [pair for pair in modules() if pair[0]])
def test_imports_point_down(module: str, path: Path) -> None:
    mine, place = floor(module)
    for name in imports(path):
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
    found = {
        ".".join((root.name, *path.relative_to(root).with_suffix("").parts)): path
        for path in root.rglob("*.py")
    }
    found = {name.removesuffix(".__init__"): path for name, path in found.items()}
    left = {
        name: {*_imported(path, found)} & {*found} - {name, "llmobs"}
        for name, path in found.items()
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
        name.split(".")[0] in FLOORS[LOWEST_DOOR] for name in imports(ROOT / "__init__.py")
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
        source = path.read_text()
        if not module.startswith("cli"):
            assert not any(
                isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
                for node in nodes(path)
            ), f"{module} prints"
        assert source.count("\n") <= 650, f"{module} is too long to have one reason to change"


def test_gen_ai_names_live_in_semconv_only() -> None:
    for module, path in modules():
        if module == "recorded.semconv":
            continue
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith("gen_ai."), f"{module}: {node.value}"
