"""
One client's way from what was recorded to its sinks: the intake, the stages, and per sink an outbox
with its worker.
"""

from collections.abc import Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup

from llmobs.pipeline.intake import Intake
from llmobs.pipeline.prepare import Price
from llmobs.pipeline.stages import Stages
from llmobs.pipeline.statistics import Statistics, combine
from llmobs.pipeline.worker import Worker

__all__ = ["LAST_STAGES_SECONDS", "Pipeline"]

LAST_STAGES_SECONDS: Final = 5.0
"""How long preparing the rest for the spool may take, after the shutdown deadline."""


class Pipeline:
    """
    Args:
        intake: Where events enter.
        stages: What they pass through.
        workers: Who delivers them, one per sink.
        price: The stage that loads its table before it is needed.
    """

    def __init__(
        self, intake: Intake, stages: Stages, workers: Sequence[Worker], price: Price
    ) -> None:
        self.intake = intake
        self.stages = stages
        self.workers = workers
        self.price = price
        self._stopped: anyio.Event | None = None

    @property
    def pending(self) -> int:
        """Events that some sink has yet to take."""
        return self.intake.pending + sum(worker.outbox.pending for worker in self.workers)

    @property
    def writes_to_disk(self) -> bool:
        """Whether there is a spool."""
        return any(worker.disk is not None for worker in self.workers)

    def reset(self) -> None:
        """Forget the event loop this ran in: after closing too, so that it can run in another."""
        self._stopped = None
        self.stages.reset()
        for worker in self.workers:
            worker.reset()

    def after_fork(self) -> None:
        """Start from nothing, in a forked child: what was recorded is the parent's."""
        self.stages.after_fork()
        for worker in self.workers:
            worker.after_fork()
        self._stopped = None

    def start(self, group: TaskGroup) -> None:
        """Run in *group*, in the event loop running now."""
        self._stopped = None
        for worker in self.workers:
            worker.listen()
            group.start_soon(worker.run)
        self.stages.listen()
        group.start_soon(self.stages.run)

    def cancel(self) -> None:
        """End at once: the event loop is ending. What was not delivered stays queued."""
        self.stages.cancel()
        for worker in self.workers:
            worker.cancel()

    def hurry(self) -> None:
        """Deliver what waits now without waiting for company."""
        self.stages.hurry()

    async def flush(self, timeout: float | None) -> None:
        """Wait until what was recorded before this call is accounted for, at most *timeout* seconds."""
        with anyio.move_on_after(timeout):
            await self.stages.flush()
            async with anyio.create_task_group() as group:
                for worker in self.workers:
                    group.start_soon(worker.flush)

    async def stop(self, timeout: float) -> None:
        """
        Deliver what is left within *timeout* seconds; keep the rest on disk, or count it as dropped.

        Whoever calls it meanwhile or later waits for the first.
        """
        if self._stopped is not None:
            await self._stopped.wait()
            return
        self._stopped = stopped = anyio.Event()
        try:
            await self._stop(timeout)
        finally:
            stopped.set()

    async def _stop(self, timeout: float) -> None:
        running = [worker for worker in self.workers if worker.finished is not None]
        self.stages.stop()
        for worker in running:
            worker.hasten()
        with anyio.move_on_after(timeout):
            if self.stages.finished is not None:
                await self.stages.finished.wait()
            for worker in running:
                worker.end_of_input()
            for worker in running:
                await worker.finished.wait()  # type: ignore[union-attr]
        for worker in running:
            worker.cancel()
        for worker in running:
            await worker.finished.wait()  # type: ignore[union-attr]
        await self._finish_stages()
        self.intake.close()
        lost = self.intake.give_up([worker.reason for worker in self.workers])
        async with anyio.create_task_group() as group:
            for worker in self.workers:
                group.start_soon(worker.close, lost, timeout)

    async def _finish_stages(self) -> None:
        """Prepare what is to be kept on disk; end the stages."""
        stages = self.stages
        async with anyio.create_task_group() as group:
            if self.writes_to_disk and self.intake.pending:
                if stages.finished is None:
                    stages.listen()
                    stages.stop()
                    group.start_soon(stages.run)
                assert stages.finished is not None
                with anyio.move_on_after(LAST_STAGES_SECONDS):
                    await stages.finished.wait()
            if stages.finished is not None:
                stages.cancel()
                await stages.finished.wait()

    def statistics(self, waiting: int = 0) -> Statistics:
        """Return the counters as they are now; *waiting* events were accepted and are not queued yet."""
        parts: dict[str, Statistics] = {}
        for worker in self.workers:
            counts = self.intake.counts(worker.outbox)
            counts["accepted"] += waiting
            counts["pending"] += waiting
            error = worker.health.error
            parts[worker.sink.name] = Statistics(
                **counts,
                replayed=worker.replayed,
                retries=worker.health.retries,
                state=worker.state,
                last_error=None if error is None else str(error),
            )
        return combine(parts)
