-- Version 3

CREATE TRIGGER bodies_unindex AFTER UPDATE OF body ON bodies BEGIN
        INSERT INTO unindexed VALUES (old.id >> 16, 1)
            ON CONFLICT (part) DO UPDATE SET changes = changes + 1;
    END;

CREATE TRIGGER events_unindex AFTER DELETE ON events BEGIN
        INSERT INTO unindexed VALUES (old.id >> 16, 1)
            ON CONFLICT (part) DO UPDATE SET changes = changes + 1;
        INSERT INTO store VALUES ('last_id', old.id)
            ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value);
    END;

CREATE TRIGGER runs_are_new AFTER INSERT ON runs BEGIN
        UPDATE evaluations SET run_started = new.started, run_project = new.project_id
            WHERE run_id = new.run_id;
    END;

CREATE TRIGGER runs_differ AFTER UPDATE OF started, project_id ON runs
        WHEN new.started IS NOT old.started OR new.project_id IS NOT old.project_id BEGIN
        UPDATE evaluations SET run_started = new.started, run_project = new.project_id
            WHERE run_id = new.run_id;
    END;

CREATE TABLE bodies (id INTEGER PRIMARY KEY, body TEXT NOT NULL);

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
    , release TEXT, tokens_cache_write INTEGER, tokens_reasoning INTEGER, weight REAL NOT NULL DEFAULT 1, fingerprint TEXT, prompt_template_id TEXT, booked INTEGER NOT NULL DEFAULT 0);

CREATE TABLE parts (
        id INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL,
        trace INTEGER NOT NULL,
        span_id TEXT NOT NULL,
        what INTEGER NOT NULL,
        at INTEGER NOT NULL,             -- nanoseconds since 1970
        body NOT NULL,                   -- native JSON, as pieces are stored
        UNIQUE (trace, event_id)
    );

CREATE TABLE pieces (hash INTEGER NOT NULL UNIQUE, data NOT NULL);

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

CREATE TABLE run_pieces (
        run_id TEXT NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY (run_id, hash)
    ) WITHOUT ROWID;

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
    , client_run_id TEXT, parent_run_id TEXT, trace_id TEXT, release TEXT, tags TEXT, weight REAL NOT NULL DEFAULT 1, standalone INTEGER, booked_as TEXT) WITHOUT ROWID;

CREATE TABLE shared_pieces (hash INTEGER PRIMARY KEY, others INTEGER NOT NULL);

CREATE TABLE spans (
        trace INTEGER NOT NULL,
        span_id TEXT NOT NULL,
        parent_id TEXT NOT NULL,
        what INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        started INTEGER NOT NULL,        -- nanoseconds since 1970
        guessed INTEGER NOT NULL,        -- 1: a log record told of it, it has not come itself
        PRIMARY KEY (trace, span_id)
    ) WITHOUT ROWID
    ;

CREATE TABLE store (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE traces (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        seen INTEGER NOT NULL,           -- seconds since 1970: when a span came last
        shown INTEGER NOT NULL,          -- 1: there are events of it
        closed INTEGER NOT NULL,         -- 1: the run's own event is among them
        rank INTEGER NOT NULL,           -- of the span that the run's own event was made from
        started INTEGER NOT NULL,        -- of it, nanoseconds since 1970
        span_id TEXT NOT NULL
    );

CREATE TABLE unfinished (run_id TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE unindexed (part INTEGER PRIMARY KEY, changes INTEGER NOT NULL);

CREATE INDEX evaluations_by_name
        ON evaluations (name, label, run_started, score, run_project, project_id);

CREATE INDEX evaluations_by_run ON evaluations (run_id, name, label, score);

CREATE INDEX events_by_run ON events (run_id);

CREATE INDEX events_by_template
        ON events (prompt_template_id, timestamp) WHERE prompt_template_id IS NOT NULL;

CREATE INDEX events_by_time ON events (timestamp) WHERE event_type = 'prompt_call';

CREATE INDEX events_called ON events (run_id, name) WHERE event_type = 'prompt_call';

CREATE INDEX events_failed
        ON events (fingerprint, timestamp, run_id, project_id, failed) WHERE failed;

CREATE INDEX parts_by_span ON parts (trace, span_id) WHERE what >= 3;

CREATE INDEX runs_begun ON runs (started, project_id);

CREATE INDEX runs_by_client_run_id ON runs (client_run_id) WHERE client_run_id IS NOT NULL;

CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

CREATE INDEX runs_by_session
        ON runs (session_id, started) WHERE session_id IS NOT NULL;

CREATE INDEX runs_by_time ON runs (
        started, run_id, errors, http_status, status, latency_ms, cost_usd, project_id, name, tags
    );

CREATE INDEX runs_by_trace ON runs (trace_id) WHERE trace_id <> run_id;

CREATE INDEX runs_by_user ON runs (user_id, started) WHERE user_id IS NOT NULL;

CREATE INDEX runs_failed ON runs (started, run_id, errors, http_status, status)
        WHERE (errors > 0 OR http_status >= 500 OR status IN ('error', 'timeout', 'assertion_failed'));

CREATE INDEX runs_open ON runs (ended) WHERE status IS NULL AND standalone = 0;

CREATE INDEX spans_by_parent ON spans (trace, parent_id);

CREATE INDEX traces_open ON traces (seen) WHERE shown = 0 OR closed = 0;

