"""
Tables of the SQLite store, as numbered migrations.

``PRAGMA user_version`` holds the number of the last one applied. A migration, once released, is
never changed: add another.
"""

import sqlite3
from typing import Final

from llmobs.errors import StoreVersionError

__all__ = ["VERSION", "check_version", "migrate", "show_as_current"]

# `events` keeps what lists and charts need as columns and the whole event as JSON in `body`.
# `runs` is kept by a trigger, which fires for rows that were really inserted: redelivering an
# event changes neither table.
_MIGRATIONS: Final = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE,
        run_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        timestamp INTEGER NOT NULL,      -- microseconds since 1970, UTC
        parent_id TEXT,
        trace_id TEXT,
        project_id TEXT,
        service_name TEXT,
        environment TEXT,
        user_id TEXT,
        session_id TEXT,
        name TEXT,                       -- model, tool, step, check, route: what it is about
        provider TEXT,
        status TEXT,
        failed INTEGER NOT NULL,
        http_status INTEGER,
        latency_ms REAL,
        time_to_first_token_ms REAL,
        tokens_input INTEGER,
        tokens_output INTEGER,
        tokens_cached INTEGER,           -- of the input
        cost_usd REAL,
        error TEXT,                      -- type and message, shortened
        body TEXT NOT NULL               -- native JSON
    );
    CREATE INDEX events_by_run ON events (run_id, timestamp);
    CREATE INDEX events_by_time ON events (timestamp);

    CREATE TABLE runs (
        run_id TEXT PRIMARY KEY,
        started INTEGER NOT NULL,        -- microseconds since 1970, UTC
        ended INTEGER NOT NULL,
        name TEXT,
        kind TEXT,
        status TEXT,
        http_status INTEGER,
        latency_ms REAL,
        project_id TEXT,
        service_name TEXT,
        environment TEXT,
        user_id TEXT,
        session_id TEXT,
        events INTEGER NOT NULL,         -- the run's own event is not counted
        calls INTEGER NOT NULL,          -- of a model
        errors INTEGER NOT NULL,
        tokens_input INTEGER NOT NULL,
        tokens_output INTEGER NOT NULL,
        cost_usd REAL                    -- of the calls whose price is known
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_time ON runs (started);

    CREATE TRIGGER events_add_up AFTER INSERT ON events BEGIN
        INSERT INTO runs VALUES (
            new.run_id,
            new.timestamp,
            new.timestamp + CAST(1000 * coalesce(new.latency_ms, 0) AS INTEGER),
            iif(new.event_type = 'run', new.name, NULL),
            iif(new.event_type = 'run', coalesce(json_extract(new.body, '$.kind'), 'job'), NULL),
            iif(new.event_type = 'run', new.status, NULL),
            iif(new.event_type = 'run', new.http_status, NULL),
            iif(new.event_type = 'run', new.latency_ms, NULL),
            new.project_id, new.service_name, new.environment, new.user_id, new.session_id,
            new.event_type <> 'run',
            new.event_type = 'prompt_call',
            new.event_type <> 'run' AND new.failed,
            iif(new.event_type = 'prompt_call', coalesce(new.tokens_input, 0), 0),
            iif(new.event_type = 'prompt_call', coalesce(new.tokens_output, 0), 0),
            iif(new.event_type = 'prompt_call', new.cost_usd, NULL)
        )
        ON CONFLICT (run_id) DO UPDATE SET
            started = min(started, excluded.started),
            ended = max(ended, excluded.ended),
            name = coalesce(excluded.name, name),
            kind = coalesce(excluded.kind, kind),
            status = coalesce(excluded.status, status),
            http_status = coalesce(excluded.http_status, http_status),
            latency_ms = coalesce(excluded.latency_ms, latency_ms),
            user_id = coalesce(excluded.user_id, user_id),
            session_id = coalesce(excluded.session_id, session_id),
            events = events + excluded.events,
            calls = calls + excluded.calls,
            errors = errors + excluded.errors,
            tokens_input = tokens_input + excluded.tokens_input,
            tokens_output = tokens_output + excluded.tokens_output,
            cost_usd = iif(excluded.cost_usd IS NULL, cost_usd, coalesce(cost_usd, 0) + excluded.cost_usd);
    END;
    """,
    # What an untrusted caller called the run: several runs may have the same.
    """
    ALTER TABLE runs ADD COLUMN client_run_id TEXT;
    CREATE INDEX runs_by_client_run_id ON runs (client_run_id) WHERE client_run_id IS NOT NULL;
    DROP TRIGGER events_add_up;
    CREATE TRIGGER events_add_up AFTER INSERT ON events BEGIN
        INSERT INTO runs VALUES (
            new.run_id,
            new.timestamp,
            new.timestamp + CAST(1000 * coalesce(new.latency_ms, 0) AS INTEGER),
            iif(new.event_type = 'run', new.name, NULL),
            iif(new.event_type = 'run', coalesce(json_extract(new.body, '$.kind'), 'job'), NULL),
            iif(new.event_type = 'run', new.status, NULL),
            iif(new.event_type = 'run', new.http_status, NULL),
            iif(new.event_type = 'run', new.latency_ms, NULL),
            new.project_id, new.service_name, new.environment, new.user_id, new.session_id,
            new.event_type <> 'run',
            new.event_type = 'prompt_call',
            new.event_type <> 'run' AND new.failed,
            iif(new.event_type = 'prompt_call', coalesce(new.tokens_input, 0), 0),
            iif(new.event_type = 'prompt_call', coalesce(new.tokens_output, 0), 0),
            iif(new.event_type = 'prompt_call', new.cost_usd, NULL),
            iif(new.event_type = 'run', json_extract(new.body, '$.client_run_id'), NULL)
        )
        ON CONFLICT (run_id) DO UPDATE SET
            started = min(started, excluded.started),
            ended = max(ended, excluded.ended),
            name = coalesce(excluded.name, name),
            kind = coalesce(excluded.kind, kind),
            status = coalesce(excluded.status, status),
            http_status = coalesce(excluded.http_status, http_status),
            latency_ms = coalesce(excluded.latency_ms, latency_ms),
            user_id = coalesce(excluded.user_id, user_id),
            session_id = coalesce(excluded.session_id, session_id),
            client_run_id = coalesce(excluded.client_run_id, client_run_id),
            events = events + excluded.events,
            calls = calls + excluded.calls,
            errors = errors + excluded.errors,
            tokens_input = tokens_input + excluded.tokens_input,
            tokens_output = tokens_output + excluded.tokens_output,
            cost_usd = iif(excluded.cost_usd IS NULL, cost_usd, coalesce(cost_usd, 0) + excluded.cost_usd);
    END;
    """,
)

VERSION: Final = len(_MIGRATIONS)
"""The schema this llmobs writes."""


def check_version(connection: sqlite3.Connection) -> int:
    """
    Return the store's schema version.

    Raises:
        StoreVersionError: It is newer than this llmobs.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StoreVersionError(
            f"the store has schema {version}, this llmobs knows up to {VERSION}: "
            "upgrade llmobs, or write to another file"
        )
    return version


def show_as_current(connection: sqlite3.Connection) -> None:
    """Let an older store, which readers leave as it is, look like one of this version."""
    if check_version(connection) < 2:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(
            "CREATE TEMP VIEW runs AS SELECT *, NULL AS client_run_id FROM main.runs"
        )


def migrate(connection: sqlite3.Connection) -> None:
    """
    Bring the store to this version, in one transaction; several processes may try at once.

    Raises:
        StoreVersionError: It is newer than this llmobs.
        sqlite3.Error: The file cannot be read or written.
    """
    if check_version(connection) == VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for number in range(check_version(connection), VERSION):
            for statement in _statements(_MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    # `executescript` would commit the transaction the caller opened.
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
