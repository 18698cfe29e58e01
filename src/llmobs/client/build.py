"""A client's pipeline, built from its settings."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llmobs.errors import ConfigurationError
from llmobs.events import ClientInfo, Event
from llmobs.pipeline.delivery import Delivery
from llmobs.pipeline.disk_writer import WRITE_AHEAD_SECONDS, DiskWriter
from llmobs.pipeline.intake import Intake
from llmobs.pipeline.outbox import Outbox
from llmobs.pipeline.own_redaction import OwnRedaction
from llmobs.pipeline.pipeline import Pipeline
from llmobs.pipeline.prepare import EVENTS_A_CALL, Complete, Identity, Price, Redact
from llmobs.pipeline.spool import Spool
from llmobs.pipeline.stages import Stages
from llmobs.pipeline.tail import TailSampler
from llmobs.pipeline.user_code import UserCode
from llmobs.pipeline.user_stages import UserStage
from llmobs.pipeline.worker import Worker
from llmobs.runtime.time_slices import finish
from llmobs.runtime.troubles import Troubles

if TYPE_CHECKING:
    from llmobs.pipeline.sink import Sink
    from llmobs.redaction.rules_of_users import UserRules
    from llmobs.settings import Settings

__all__ = ["build", "price_stage", "redact_stage"]


def build(settings: Settings, troubles: Troubles, *, wake: Callable[[], object]) -> Pipeline:
    """
    Return the pipeline that *settings* describe; nothing runs yet.

    Args:
        settings: Of the client.
        troubles: Where trouble is logged.
        wake: Called when something was recorded and nothing runs.

    Raises:
        ConfigurationError: A sink cannot be built, or the spool's directory cannot be written.
    """
    from llmobs.sinks import resolve

    redact = redact_stage(settings)  # first: what is said of the rest follows its rules
    workers = [_worker(sink, settings, troubles) for sink in resolve(settings.sink, settings)]
    intake = Intake(
        [worker.outbox for worker in workers],
        max_events=settings.max_queue_events,
        max_bytes=settings.max_queue_bytes,
        overflow=settings.overflow,
        block_timeout=settings.timeout,
    )
    intake.wake = wake
    redact.tell(intake.count_redaction_failures, troubles)
    price = price_stage(settings)

    def hurry() -> None:
        for worker in workers:
            worker.hurry()

    interval, on_disk = settings.flush_interval_seconds, settings.durability == "disk"
    stages = Stages(
        intake,
        [
            _complete(settings),
            *_of_users(settings, intake, troubles),
            redact,
            price,
            *_of_users(settings, intake, troubles, after=redact),
        ],
        tail=_tail(settings, workers, troubles),
        interval=min(interval, WRITE_AHEAD_SECONDS) if on_disk else interval,
        at_once=on_disk,
        hurried=hurry,
    )
    return Pipeline(intake, stages, workers, price)


def _worker(sink: Sink, settings: Settings, troubles: Troubles) -> Worker:
    outbox = Outbox(
        max_events=settings.max_queue_events,
        max_bytes=settings.max_queue_bytes,
        batch_events=min(settings.batch_size, sink.max_batch_events or sys.maxsize),
        batch_bytes=min(settings.batch_bytes, sink.max_batch_bytes or sys.maxsize),
    )
    disk = None
    if settings.spool_dir is not None:
        disk = DiskWriter(
            outbox,
            Spool.of(sink, settings),
            spill=settings.overflow == "spill",
            write_ahead=settings.durability == "disk",
            interval=settings.flush_interval_seconds,
            troubles=troubles,
        )
    return Worker(
        outbox,
        Delivery(sink, timeout=settings.timeout, troubles=troubles),
        disk,
        interval=settings.flush_interval_seconds,
        troubles=troubles,
    )


def _complete(settings: Settings) -> Complete:
    from llmobs import __version__

    identity = Identity(
        client=ClientInfo(
            hostname=socket.gethostname(),
            sdk_version=__version__,
            platform=f"python {platform.python_version()} {sys.platform}",
        ),
        project_id=settings.project_id,
        service_name=settings.service_name,
        environment=settings.environment,
        release=settings.release,
    )
    return Complete(identity, 1 / settings.sample_rate if settings.sample_rate else 1.0)


def redact_stage(settings: Settings, *, key: bytes | None = None) -> Redact:
    """
    Return the stage that takes out what may not leave.

    Args:
        settings: Say what, and in which way.
        key: What identifiers are renamed by where they name no key; by default this process's own.

    Raises:
        ConfigurationError: The rules of ``redaction`` cannot be used.
    """
    from llmobs.redaction.events import EventRedactor, Pseudonyms
    from llmobs.redaction.redactor import Redactor
    from llmobs.redaction.rules_of_users import user_rules
    from llmobs.redaction.said import follow

    rules = None
    if settings.redaction is not None:
        try:
            rules = user_rules(settings.redaction)
        except ValueError as error:
            raise ConfigurationError(f"redaction (LLMOBS_REDACTION): {error}") from None
    redacts = settings.redact_pii or settings.capture_content != "full" or rules is not None
    ours = Redactor(rules=rules) if redacts else None
    if rules is not None and ours is not None:
        follow(ours)
    keep_content = settings.capture_content != "metadata"
    pseudonyms = Pseudonyms(rules.key if rules else "", own=key)
    return Redact(
        EventRedactor(ours, ours, keep_content=keep_content, pseudonyms=pseudonyms),
        first=_by_path(rules),
        last=_own(settings.redactor, rules),
        events_a_call=1 if rules is not None and rules.presidio is not None else EVENTS_A_CALL,
        counts=rules is not None and rules.action == "numbered",
    )


def _by_path(rules: UserRules | None) -> OwnRedaction | None:
    """Return what calls the functions of *rules*."""
    if rules is None or not rules.functions:
        return None
    from llmobs.redaction.functions import Functions

    functions = Functions(rules.functions)
    return OwnRedaction(
        lambda event, before: functions.apply(event),
        functions.withhold,
        lambda: functions.failures,
        code=UserCode(),
    )


def _own(redactor: Callable[[str], str] | None, rules: UserRules | None) -> OwnRedaction | None:
    """Return what asks Presidio, where *rules* say so, and *redactor*."""
    from llmobs.redaction.events import EventRedactor
    from llmobs.redaction.redactor import Redactor
    from llmobs.redaction.replacing import FAILED

    if rules is not None and rules.presidio is not None:
        from llmobs.redaction.presidio import presidio_finder, presidio_redactor

        try:
            find = presidio_finder(rules.presidio)
        except ValueError as error:
            raise ConfigurationError(f"redaction (LLMOBS_REDACTION): {error}") from None
        presidio = presidio_redactor(find, rules.replace, rules.allowed)
        own = redactor or str
        redactor = lambda text: own(presidio(text))  # noqa: E731
    if redactor is None:
        return None
    texts = EventRedactor(Redactor(kinds=(), extra=redactor), None)
    no_texts = EventRedactor(Redactor(kinds=(), extra=lambda text: FAILED), None)
    return OwnRedaction(
        lambda event, before: finish(texts.steps(event, before)),
        lambda event: finish(no_texts.steps(event)),
        lambda: texts.failures,
        code=UserCode(),
    )


def price_stage(settings: Settings) -> Price:
    """Return the stage that prices calls and adds up runs."""
    from llmobs.pipeline.cost import Pricing

    return Price(Pricing(settings.prices))


def _of_users(
    settings: Settings, intake: Intake, troubles: Troubles, *, after: Redact | None = None
) -> list[UserStage]:
    return [
        UserStage(
            stage.function,
            UserCode(),
            count_failures=intake.count_stage_failures,
            redact=after,
            troubles=troubles,
        )
        for stage in settings.stages
        if stage.after_redaction is (after is not None)
    ]


def _tail(settings: Settings, workers: Sequence[Worker], troubles: Troubles) -> TailSampler | None:
    if settings.tail_sampling is None:
        return None
    disks = [worker.disk for worker in workers if worker.disk is not None]

    def to_disk(events: Sequence[Event]) -> None:
        for disk in disks:
            disk.hold(events)

    return TailSampler(
        settings.tail_sampling,  # type: ignore[arg-type] # what was a text is `Rules` now
        max_bytes=settings.tail_bytes,
        seconds=settings.tail_seconds,
        sample_rate=settings.sample_rate,
        to_disk=to_disk if settings.durability == "disk" else None,
        code=UserCode(),
        troubles=troubles,
    )
