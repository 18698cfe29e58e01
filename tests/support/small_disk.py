"""A disk that fills up quickly."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.kafka_runtime import Unavailable


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Yield a directory that takes this many megabytes and then says ENOSPC, as a full disk does.

    It is a tmpfs of its own, so it wants root and the right to mount. For a broker give it as
    `KafkaCluster(data_dir=...)`; 24 MB are enough to start one. A broker whose only disk is full
    ends itself (`cluster.running(1)` turns false): so does a real one.

    Raises:
        Unavailable: this process may not mount.
    """
    if os.geteuid() != 0:
        raise Unavailable("only root can mount the small disk of this test")
    directory = Path(tempfile.mkdtemp(prefix="llmobs-disk-"))
    try:
        size = f"size={megabytes}m"
        mount = ["mount", "-t", "tmpfs", "-o", size, "llmobs-test", str(directory)]
        try:
            subprocess.run(mount, check=True, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or error
            raise Unavailable(f"cannot mount a small disk: {said}".strip()) from error
        try:
            yield directory
        finally:
            subprocess.run(["umount", "-l", str(directory)], check=True, timeout=30)
    finally:
        directory.rmdir()
