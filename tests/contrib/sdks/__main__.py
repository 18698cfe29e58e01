"""Play, and keep what held: ``python -m tests.contrib.sdks [PACKAGE ...]``."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.contrib.sdks.playing import HELD, Held, environment, held, play
from tests.contrib.sdks.table import Trial, trials
from tests.support.llm_server import running_llm_server


def main() -> None:
    """Play those that are named, or all; what is no row any more is forgotten."""
    chosen = [each for each in trials() if each.sdk.package in sys.argv[1:] or not sys.argv[1:]]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(environment, chosen))
    with running_llm_server("--ttft-ms", "0", "--chunk-ms", "0", "--repeatable") as url:
        for each in chosen:
            print(each, flush=True)
            keep(each, play(each, url))
    packages = {each.sdk.package for each in trials()}
    for file in HELD.glob("*.json"):
        if file.stem not in packages:
            file.unlink()


def keep(trial: Trial, found: Held) -> None:
    """Put what held beside the package's other versions, of those that are still tried."""
    kept = held(trial.sdk.package) | {trial.version: found}
    tried = [each.version for each in trials() if each.sdk.package == trial.sdk.package]
    HELD.mkdir(exist_ok=True)
    text = json.dumps({version: kept[version] for version in tried if version in kept}, indent=1)
    (HELD / f"{trial.sdk.package}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
