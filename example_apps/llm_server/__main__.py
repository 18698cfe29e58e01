"""Run the server: `python -m example_apps.llm_server --port 8089`."""

import argparse
import socket

import uvicorn

from .app import create_app


class _Announcing(uvicorn.Server):
    """Says where it listens once it does, so that a parent process can wait for that line."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the one line."""
        await super().startup(sockets=sockets)
        print(f"listening on {self._url}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Read the options and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="llm_server", description=__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to bind (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8089, help="port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--ttft-ms", type=float, default=60, help="time to first token (default: %(default)s)"
    )
    parser.add_argument(
        "--chunk-ms", type=float, default=12, help="time per token (default: %(default)s)"
    )
    parser.add_argument(
        "--error-rate", type=float, default=0, help="share of requests answered 429 (default: 0)"
    )
    parser.add_argument(
        "--retry-after", type=float, default=1, help="seconds in Retry-After (default: %(default)s)"
    )
    parser.add_argument(
        "--repeatable",
        action="store_true",
        help="give the same request the same ids and times as well",
    )
    chosen = parser.parse_args(arguments)
    try:
        app = create_app(
            ttft_ms=chosen.ttft_ms,
            chunk_ms=chosen.chunk_ms,
            error_rate=chosen.error_rate,
            retry_after=chosen.retry_after,
            repeatable=chosen.repeatable,
        )
    except ValueError as error:
        parser.error(str(error))
    listener = socket.create_server((chosen.host, chosen.port))
    host, port = listener.getsockname()[:2]
    # Cut connections are faults made on purpose, and the server would log each as an error.
    config = uvicorn.Config(
        app,
        log_level="critical",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
        date_header=not chosen.repeatable,
    )
    with listener:
        _Announcing(config, f"http://{host}:{port}").run(sockets=[listener])


if __name__ == "__main__":
    main()
