"""
A process to kill: ``python -m tests.faults.victim '{"sink": ..., "spool_dir": ..., ...}'``.

It records ``count`` calls, one every ``pause`` seconds, and prints each event's id once recorded;
then it waits for ``until`` ("settled": nothing pending or on disk; "killed": for ever), closes and
prints its statistics. The other keys are settings of the client.
"""

import itertools
import json
import sys
import time

import msgspec

import llmobs


def main() -> None:
    keywords = json.loads(sys.argv[1])
    count, pause, until = (keywords.pop(name) for name in ("count", "pause", "until"))
    client = llmobs.Client(**keywords)
    # An event of its own, never counted by the tests: it starts the thread, hence replaying.
    client.log_error("start", "start")
    for number in itertools.count() if count is None else range(count):
        event_id = client.log_prompt_call("r", f"p{number}", "m", "a" * 200)
        sys.stdout.write(f"{event_id} {time.time()}\n")
        sys.stdout.flush()
        time.sleep(pause)
    sys.stdout.write("recorded\n")
    sys.stdout.flush()
    while until == "killed" or client.statistics().pending or client.statistics().spooled:
        client.flush(0.5)
        time.sleep(0.02)
    client.close()
    statistics = msgspec.to_builtins(client.statistics())
    sys.stdout.write(json.dumps(statistics) + "\n")


if __name__ == "__main__":
    main()
