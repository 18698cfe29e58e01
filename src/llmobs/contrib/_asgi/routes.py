"""The template of the route that took a connection: what requests are grouped by."""

from typing import Any

from llmobs.contrib._asgi.protocol import Scope

__all__ = ["route_of"]


def route_of(scope: Scope, root_path: str) -> str | None:
    """
    Return the template of the route, with what it was mounted under; None if no route took it.

    Args:
        scope: As the application left it: frameworks note in it where they went.
        root_path: What was in the scope before the application had it.
    """
    mounted = _text(scope.get("root_path"))[len(root_path) :]
    path = _path(scope)
    if path is None:
        # Nothing but a mount took it: static files, an application of another framework.
        return _template(mounted, scope) or None
    # Mounts move what they consumed of the path to the end of `root_path`.
    return _template(mounted, scope, path) + path or "/"


def _path(scope: Scope) -> str | None:
    # FastAPI's routes know the prefix of their own router only; what they were included under
    # stands beside them in the scope (0.165; older versions copied routes with the whole path).
    included = scope.get("fastapi")
    context = included.get("effective_route_context") if isinstance(included, dict) else None
    route = scope.get("route")
    if route is None or _is_mount(route):
        # FastAPI notes its own routes only, not those of Starlette that it may have too.
        route = _route_with(scope.get("endpoint"), scope.get("app")) or route
    if _is_mount(route):
        # What it consumed is in `root_path` already, and so are the routes it has inside.
        return None if getattr(route, "path", None) else ""
    path = getattr(context, "path", None) or getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _route_with(endpoint: Any, app: Any) -> Any:
    routes = getattr(app, "routes", None)
    if endpoint is None or not isinstance(routes, list):
        return None
    return next((route for route in routes if _endpoint_of(route) is endpoint), None)


def _endpoint_of(route: Any) -> Any:
    return getattr(route, "app" if _is_mount(route) else "endpoint", None)


def _is_mount(route: Any) -> bool:
    return hasattr(route, "app") and hasattr(route, "routes") and not hasattr(route, "endpoint")


def _template(mounted: str, scope: Scope, path: str = "") -> str:
    """Put the names of parameters back where a mount's path has their values: values do not group."""
    parameters = scope.get("path_params")
    if not mounted or not isinstance(parameters, dict) or not parameters:
        return mounted
    names = {str(v): k for k, v in parameters.items() if f"{{{k}}}" not in path}
    names = {value: name for value, name in names.items() if f"{{{name}:" not in path}
    parts = mounted.split("/")
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in parts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
