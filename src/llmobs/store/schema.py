"""
Tables of the SQLite store, as numbered migrations.

``PRAGMA user_version`` holds the number of the last one applied. A migration, once released, is
never changed: add another.
"""

import sqlite3
from typing import Final

from llmobs.errors import StoreVersionError
from llmobs.store.statements import transaction

__all__ = ["VERSION", "check_version", "migrate", "narrow_indexes", "show_as_current"]

# `events` keeps what lists and charts need as columns. `runs` and `rollups` are added up by the writer
# from the rows that were really inserted: redelivering an event changes nothing.
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
    # Bodies, parts of messages, sums by the hour. Nothing is moved here: a store of many gigabytes is
    # changed in a moment, what it holds moves in small steps (`llmobs.store.upkeep`), and processes
    # that still run the version before go on writing rows with a body, which the trigger adds up.
    """
    ALTER TABLE events ADD COLUMN release TEXT;
    ALTER TABLE events ADD COLUMN tokens_cache_write INTEGER;  -- of the input
    ALTER TABLE events ADD COLUMN tokens_reasoning INTEGER;    -- of the output
    ALTER TABLE events ADD COLUMN weight REAL NOT NULL DEFAULT 1;
    ALTER TABLE events ADD COLUMN fingerprint TEXT;            -- what failures of one cause share
    ALTER TABLE events ADD COLUMN prompt_template_id TEXT;
    ALTER TABLE events ADD COLUMN booked INTEGER NOT NULL DEFAULT 0;  -- in rollups, if a call

    -- Native JSON; lists and sums never read it. events.body is empty once it is here.
    CREATE TABLE bodies (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
    -- Members of message lists by their hash, in the order in which they came; see pieces.py.
    CREATE TABLE pieces (hash INTEGER NOT NULL UNIQUE, data NOT NULL);
    CREATE TABLE run_pieces (
        run_id TEXT NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY (run_id, hash)
    ) WITHOUT ROWID;
    -- How many runs have a member beside one, where any has. An index of all members of runs by their hash
    -- would say so, too: each new one would be on a page of its own in it, which is written whole.
    CREATE TABLE shared_pieces (hash INTEGER PRIMARY KEY, others INTEGER NOT NULL);

    -- Checks and ratings: what people, code and models think; failed assertions, hallucinations.
    CREATE TABLE evaluations (
        id INTEGER PRIMARY KEY,          -- of the event
        run_id TEXT NOT NULL,
        subject TEXT,                    -- event_id of what was looked at
        name TEXT,
        score REAL,
        label TEXT,
        explanation TEXT,
        source TEXT,                     -- user, code, model
        project_id TEXT,                 -- of the event
        run_started INTEGER,             -- of the run, as what follows: what is asked for with it
        run_project TEXT
    );
    CREATE INDEX evaluations_by_run ON evaluations (run_id);
    CREATE TRIGGER runs_are_new AFTER INSERT ON runs BEGIN
        UPDATE evaluations SET run_started = new.started, run_project = new.project_id
            WHERE run_id = new.run_id;
    END;
    CREATE TRIGGER runs_differ AFTER UPDATE OF started, project_id ON runs
        WHEN new.started IS NOT old.started OR new.project_id IS NOT old.project_id BEGIN
        UPDATE evaluations SET run_started = new.started, run_project = new.project_id
            WHERE run_id = new.run_id;
    END;

    ALTER TABLE runs ADD COLUMN parent_run_id TEXT;
    ALTER TABLE runs ADD COLUMN trace_id TEXT;
    ALTER TABLE runs ADD COLUMN release TEXT;
    ALTER TABLE runs ADD COLUMN tags TEXT;                     -- JSON array
    ALTER TABLE runs ADD COLUMN weight REAL NOT NULL DEFAULT 1;
    ALTER TABLE runs ADD COLUMN standalone INTEGER;            -- 1: no event of its own will come
    ALTER TABLE runs ADD COLUMN booked_as TEXT;                -- route under which its calls are in rollups
    CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
    CREATE INDEX runs_by_trace ON runs (trace_id) WHERE trace_id <> run_id;
    CREATE INDEX runs_open ON runs (ended) WHERE status IS NULL AND standalone = 0;

    -- Calls of models by the hour; see rollups.py for what `sums` counts.
    CREATE TABLE rollups (
        hour INTEGER NOT NULL,           -- since 1970
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        route TEXT NOT NULL,             -- name of the run; empty until the run's own event has come
        release TEXT NOT NULL,
        project TEXT NOT NULL,
        sums BLOB NOT NULL,
        PRIMARY KEY (hour, model, provider, route, release, project)
    ) WITHOUT ROWID;
    -- The same by the day: a year is added up in a moment.
    CREATE TABLE rollups_by_day (
        day INTEGER NOT NULL,            -- since 1970
        model TEXT NOT NULL,
        provider TEXT NOT NULL,
        route TEXT NOT NULL,
        release TEXT NOT NULL,
        project TEXT NOT NULL,
        sums BLOB NOT NULL,
        PRIMARY KEY (day, model, provider, route, release, project)
    ) WITHOUT ROWID;

    -- What this store knows of itself: salt, rows_before (first row whose body may still be in
    -- events), pruned_to (microseconds; what began before may have been counted and removed).
    CREATE TABLE store (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    INSERT INTO store VALUES ('salt', randomblob(16));
    INSERT INTO store SELECT 'rows_before', id FROM events ORDER BY id LIMIT 1;

    -- Parts of the index of texts (text_index.py) of which something was removed or changed, how often;
    -- whoever removes it, and however. Numbers of removed events (last_id) are not given again.
    CREATE TABLE unindexed (part INTEGER PRIMARY KEY, changes INTEGER NOT NULL);
    CREATE TRIGGER events_unindex AFTER DELETE ON events BEGIN
        INSERT INTO unindexed VALUES (old.id >> 16, 1)
            ON CONFLICT (part) DO UPDATE SET changes = changes + 1;
        INSERT INTO store VALUES ('last_id', old.id)
            ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value);
    END;
    CREATE TRIGGER bodies_unindex AFTER UPDATE OF body ON bodies BEGIN
        INSERT INTO unindexed VALUES (old.id >> 16, 1)
            ON CONFLICT (part) DO UPDATE SET changes = changes + 1;
    END;

    DROP TRIGGER events_add_up;
    CREATE TRIGGER events_add_up AFTER INSERT ON events WHEN new.body <> '' BEGIN
        INSERT INTO store VALUES ('rows_before', new.id)
            ON CONFLICT (name) DO UPDATE SET value = min(value, excluded.value);
        INSERT INTO runs (
            run_id, started, ended, name, kind, status, http_status, latency_ms, project_id,
            service_name, environment, user_id, session_id, events, calls, errors, tokens_input,
            tokens_output, cost_usd, client_run_id
        ) VALUES (
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
    version = check_version(connection)
    if not 0 < version < VERSION:
        return
    connection.execute("PRAGMA temp_store = MEMORY")
    for view, columns in _LATER_COLUMNS.items():
        later = columns[version - 1]
        connection.execute(f"CREATE TEMP VIEW {view} AS SELECT *, {later} FROM main.{view}")  # noqa: S608
    # What is in no table of the file is in these, which are empty.
    for table in (
        "bodies (id INTEGER PRIMARY KEY, body)",
        "pieces (hash INTEGER PRIMARY KEY, data)",
        (
            "evaluations (id INTEGER PRIMARY KEY, run_id, subject, name, score, label, explanation,"
            " source, project_id, run_started, run_project)"
        ),
    ):
        connection.execute(f"CREATE TEMP TABLE {table}")
    connection.execute("CREATE TEMP TABLE store AS SELECT 'rows_before' AS name, 1 AS value")


_OF_EVENTS: Final = (
    "NULL AS release, NULL AS tokens_cache_write, NULL AS tokens_reasoning, 1.0 AS weight,"
    " NULL AS fingerprint, NULL AS prompt_template_id, 0 AS booked"
)
_OF_RUNS: Final = (
    "NULL AS parent_run_id, NULL AS trace_id, NULL AS release, NULL AS tags, 1.0 AS weight,"
    " NULL AS standalone, NULL AS booked_as"
)
_LATER_COLUMNS: Final = {
    "events": (_OF_EVENTS, _OF_EVENTS),
    "runs": (f"NULL AS client_run_id, {_OF_RUNS}", _OF_RUNS),
}
"""What tables of the versions 1 and 2 lack."""


def migrate(connection: sqlite3.Connection) -> None:
    """
    Bring the store to this version, in one transaction; several processes may try at once.

    Raises:
        StoreVersionError: It is newer than this llmobs.
        sqlite3.Error: The file cannot be read or written.
    """
    if check_version(connection) == VERSION:
        return
    with transaction(connection, "BEGIN EXCLUSIVE"):
        version = check_version(connection)
        is_new = version == 0
        for number in range(version, VERSION):
            for statement in _statements(_MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        if is_new:  # nobody writes as older versions do
            connection.execute("DROP TRIGGER events_add_up")
            narrow_indexes(connection)


def narrow_indexes(connection: sqlite3.Connection) -> None:
    """Index what lists and sums ask for, and no more: takes a moment where there are many rows."""
    for statement in _statements(_NARROW):
        connection.execute(statement)


# What is asked for stands in the index, also where it is the condition, so that nothing else is read:
# rows of `runs` are wide, and found one by one.
_NARROW: Final = """
    DROP INDEX events_by_run;
    DROP INDEX events_by_time;
    CREATE INDEX events_by_run ON events (run_id);
    CREATE INDEX events_by_time ON events (timestamp) WHERE event_type = 'prompt_call';
    CREATE INDEX IF NOT EXISTS events_called ON events (run_id, name) WHERE event_type = 'prompt_call';
    CREATE INDEX IF NOT EXISTS events_failed
        ON events (fingerprint, timestamp, run_id, project_id, failed) WHERE failed;
    CREATE INDEX IF NOT EXISTS events_by_template
        ON events (prompt_template_id, timestamp) WHERE prompt_template_id IS NOT NULL;
    DROP INDEX runs_by_time;
    CREATE INDEX runs_by_time ON runs (
        started, run_id, errors, http_status, status, latency_ms, cost_usd, project_id, name, tags
    );
    CREATE INDEX IF NOT EXISTS runs_begun ON runs (started, project_id);  -- to count them
    CREATE INDEX IF NOT EXISTS runs_failed ON runs (started, run_id, errors, http_status, status)
        WHERE (errors > 0 OR http_status >= 500 OR status IN ('error', 'timeout', 'assertion_failed'));
    DROP INDEX evaluations_by_run;
    CREATE INDEX evaluations_by_run ON evaluations (run_id, name, label, score);
    CREATE INDEX IF NOT EXISTS evaluations_by_name
        ON evaluations (name, label, run_started, score, run_project, project_id);
    CREATE INDEX IF NOT EXISTS runs_by_user ON runs (user_id, started) WHERE user_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS runs_by_session
        ON runs (session_id, started) WHERE session_id IS NOT NULL;
"""


def _statements(script: str) -> list[str]:
    # `executescript` would commit the transaction the caller opened.
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
