-- The tables of a job store. Times are milliseconds since the epoch, by the database's clock.

-- Places in the queues; a job that goes back to the front gets a negative one.
CREATE SEQUENCE rank;

CREATE TABLE job (
    created bigint NOT NULL,
    expires bigint NOT NULL,
    ttl bigint NOT NULL,
    execution_timeout bigint,
    rank bigint NOT NULL,
    taken bigint,
    finished bigint,
    lease_until bigint NOT NULL DEFAULT 0,
    -- When a sweep looks at the row again: no later than anything is due, and earlier where a ping moved that.
    wake bigint NOT NULL,
    -- Until when a gateway claims the call of the webhook.
    notice_until bigint NOT NULL DEFAULT 0,
    revision integer NOT NULL DEFAULT 1,
    attempt integer NOT NULL DEFAULT 0,
    takes integer NOT NULL DEFAULT 0,
    chunks integer NOT NULL DEFAULT 0,
    read integer NOT NULL DEFAULT 0,
    -- 0 PENDING, 1 IN_PROGRESS, 2 COMPLETED, 3 FAILED, 4 CANCELLED, 5 TIMED_OUT
    status smallint NOT NULL DEFAULT 0,
    low_priority boolean NOT NULL DEFAULT false,
    notify boolean NOT NULL DEFAULT false,
    has_progress boolean NOT NULL DEFAULT false,
    has_output boolean NOT NULL DEFAULT false,
    has_error boolean NOT NULL DEFAULT false,
    -- What changed the row last, so that who lost the answer finds it again.
    token uuid,
    endpoint text COLLATE "C" NOT NULL,
    -- Made by a gateway, and grows with time.
    id text COLLATE "C" NOT NULL,
    worker_id text COLLATE "C",
    idempotency_key text COLLATE "C",
    PRIMARY KEY (endpoint, id)
) WITH (
    -- Room for the versions that pings, progress and chunks make in place, without touching an index.
    fillfactor = 70,
    -- A row lives through three versions within seconds, and a queue is read from the end where they die. So dead ones
    -- are removed at 2 % (by default 20 %), without pauses; an insert-only hour is frozen and made all-visible in time.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- Takes: the next jobs of an endpoint, and no other row.
CREATE INDEX job_queue ON job (endpoint, low_priority, rank) WHERE status = 0;
-- Counts of running jobs and busy workers; and a worker's jobs, for a take whose answer was lost.
CREATE INDEX job_running ON job (endpoint, worker_id) WHERE status = 1;
CREATE INDEX job_wake ON job (wake);
CREATE UNIQUE INDEX job_key ON job (endpoint, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_notice ON job (finished) WHERE notify AND status >= 2;

CREATE TABLE body (
    part integer NOT NULL,  -- 0 request, 1 output, 2 error, 3 progress, 4 and more: pieces of the stream
    endpoint text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (endpoint, id, part)
) WITH (
    -- Bodies are written once and removed by retention; what grows is removed as it goes.
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_cost_delay = 0
);
-- They pass through; compressing costs the database's CPU, and most large ones are compressed already.
ALTER TABLE body ALTER body SET STORAGE EXTERNAL;

CREATE TABLE stop (
    ordered bigint NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    worker_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (endpoint, worker_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Who was heard of lately. A crash may empty it: every worker calls again soon.
CREATE UNLOGGED TABLE worker (
    seen bigint NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (endpoint, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE endpoint_schema (
    endpoint text COLLATE "C" PRIMARY KEY,
    body bytea NOT NULL
);

-- Where the gateways keep files, as the last one told that has started; so that all of them keep theirs there.
CREATE TABLE file_place (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    place text NOT NULL
);
