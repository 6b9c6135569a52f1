"""The statements of the frequent calls: each does all that came together, in one round trip.

What they make of a row is what the rules of `board/rules.py` make of it; the tests run both beside each other. Rows are
locked in the order of endpoint and id, so that two statements never wait for each other in a circle.
"""

from __future__ import annotations

from typing import Final

from novita_gateway.store.postgres.rows import COLUMNS

__all__ = [
    "ENDPOINTS",
    "FINISH",
    "HEALTH",
    "KNOWN",
    "LIST",
    "LIST_STATUS",
    "NOW",
    "ORDER_STOPS",
    "PING",
    "READ",
    "SUBMIT",
    "TAKE",
    "TAKEN",
]

NOW: Final = "coalesce($1::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)"
"""The first parameter of most statements is the time by a clock of the tests; NULL has the database's count.
`statement_timestamp()` and not `clock_timestamp()`, for which no index is used."""

SUBMIT: Final = f"""
WITH n AS MATERIALIZED (SELECT {NOW} AS now),
s AS MATERIALIZED (
    SELECT s.*, nextval('rank') AS rank
    FROM unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[], $7::boolean[], $8::text[],
        $9::bytea[])
        AS s(endpoint, id, low_priority, ttl, execution_timeout, notify, idempotency_key, body)),
j AS (
    INSERT INTO job (endpoint, id, low_priority, created, expires, wake, ttl, execution_timeout, notify,
        idempotency_key, rank)
    SELECT endpoint, id, low_priority, now, now + ttl, now + ttl, ttl, execution_timeout, notify, idempotency_key, rank
    FROM s, n ORDER BY endpoint, idempotency_key, id
    ON CONFLICT (endpoint, idempotency_key) WHERE idempotency_key IS NOT NULL DO UPDATE SET revision = job.revision
    RETURNING job.endpoint, job.id, job.idempotency_key),
b AS (INSERT INTO body (endpoint, id, part, body) SELECT s.endpoint, s.id, 0, s.body FROM s JOIN j USING (endpoint, id))
SELECT endpoint, id, idempotency_key FROM j
"""  # noqa: S608 - constants
"""A known key writes to its row too, so that the answer stands behind a commit of its own."""

KNOWN: Final = """
SELECT endpoint, id FROM job JOIN unnest($1::text[], $2::text[]) AS q(endpoint, id) USING (endpoint, id)
"""

TAKE: Final = f"""
WITH n AS MATERIALIZED (SELECT {NOW} AS now),
p AS MATERIALIZED (
    SELECT endpoint, id FROM job WHERE endpoint = $2 AND status = 0 AND expires > {NOW}
    ORDER BY low_priority, rank LIMIT cardinality($3::text[]) FOR UPDATE SKIP LOCKED),
w AS MATERIALIZED (SELECT endpoint, id, row_number() OVER () AS slot FROM p),
t AS (
    UPDATE job SET status = 1, revision = revision + 1, worker_id = ($3::text[])[w.slot],
        taken = greatest(now, created), attempt = attempt + 1, takes = takes + 1,
        lease_until = now + $4::bigint, token = $5::uuid,
        wake = least(now + $4::bigint, expires, greatest(now, created) + execution_timeout)
    FROM w, n WHERE job.endpoint = w.endpoint AND job.id = w.id
    RETURNING w.slot, {COLUMNS}),
x AS (DELETE FROM stop USING t WHERE (stop.endpoint, stop.worker_id, stop.id) = (t.endpoint, t.worker_id, t.id))
SELECT t.*, body.body
FROM t JOIN body ON body.endpoint = t.endpoint AND body.id = t.id AND body.part = 0
ORDER BY slot
"""  # noqa: S608 - constants
"""Jobs for the slots $3, each of which names its worker."""

TAKEN: Final = f"""
SELECT {COLUMNS}, (SELECT body FROM body WHERE endpoint = job.endpoint AND id = job.id AND part = 0) AS body FROM job
WHERE job.endpoint = $1 AND job.worker_id = ANY($2::text[]) AND job.status = 1 AND job.token = $3::uuid
ORDER BY job.low_priority, job.rank
"""  # noqa: S608 - constants
"""What a take got whose answer was lost."""

FINISH: Final = f"""
WITH n AS MATERIALIZED (SELECT {NOW} AS now),
f AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bytea[], $7::bytea[]) WITH ORDINALITY
        AS f(endpoint, id, worker_id, take, output, error, i)),
l AS MATERIALIZED (
    SELECT f.i, job.endpoint, job.id,
        job.status = 1 AND job.worker_id = f.worker_id AND coalesce(f.take, job.takes) = job.takes AS is_held
    FROM job JOIN f USING (endpoint, id) ORDER BY job.endpoint, job.id FOR UPDATE OF job),
u AS (
    UPDATE job SET status = CASE WHEN f.error IS NULL THEN 2 ELSE 3 END, revision = revision + 1,
        finished = greatest(now, taken), wake = greatest(now, taken) + $8::bigint,
        has_output = f.output IS NOT NULL, has_error = f.error IS NOT NULL
    FROM l JOIN f USING (i), n WHERE l.is_held AND job.endpoint = l.endpoint AND job.id = l.id
    RETURNING f.i, job.endpoint, job.id, f.output, f.error, job.notify),
b AS (
    INSERT INTO body (endpoint, id, part, body)
    SELECT endpoint, id, 1, output FROM u WHERE output IS NOT NULL
    UNION ALL SELECT endpoint, id, 2, error FROM u WHERE error IS NOT NULL
    ON CONFLICT (endpoint, id, part) DO UPDATE SET body = excluded.body),
x AS (DELETE FROM stop USING f WHERE (stop.endpoint, stop.worker_id, stop.id) = (f.endpoint, f.worker_id, f.id))
SELECT l.i, u.i IS NOT NULL AS is_changed, coalesce(u.notify, false) AS notify FROM l LEFT JOIN u USING (i)
"""  # noqa: S608 - constants
"""Also a row that it leaves alone is locked: that is a write, and the answer stands behind a commit of its own."""

PING: Final = f"""
WITH f AS MATERIALIZED (
    SELECT DISTINCT * FROM unnest($2::text[], $3::text[], $4::text[]) AS f(endpoint, worker_id, id)),
l AS MATERIALIZED (
    SELECT job.endpoint, job.id, f.worker_id, job.status, job.status = 1 AND job.worker_id = f.worker_id AS is_held
    FROM job JOIN f USING (endpoint, id) ORDER BY job.endpoint, job.id FOR UPDATE OF job),
u AS (
    UPDATE job SET lease_until = {NOW} + $5::bigint FROM l
    WHERE is_held AND job.endpoint = l.endpoint AND job.id = l.id)
SELECT endpoint, worker_id, id, status FROM l WHERE NOT is_held
"""  # noqa: S608 - constants
"""Answers with the jobs that went on without their worker, or are over."""

ORDER_STOPS: Final = f"""
INSERT INTO stop (ordered, endpoint, worker_id, id)
SELECT {NOW}, endpoint, worker_id, id FROM unnest($2::text[], $3::text[], $4::text[]) AS s(endpoint, worker_id, id)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants

READ: Final = f"""
SELECT q.i, {COLUMNS}, body.part, body.body
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(endpoint, id, i) JOIN job USING (endpoint, id)
LEFT JOIN body ON body.endpoint = job.endpoint AND body.id = job.id AND body.part = ANY($3::integer[])
"""  # noqa: S608 - constants

LIST: Final = f"""
SELECT {COLUMNS} FROM job WHERE endpoint = $1 AND id < $2 ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - constants

LIST_STATUS: Final = f"""
WITH s AS MATERIALIZED (SELECT {COLUMNS} FROM job WHERE endpoint = $1 AND id < $2 ORDER BY id DESC LIMIT $5),
p AS (SELECT * FROM s WHERE status = $4 ORDER BY id DESC LIMIT $3)
SELECT p.*, (SELECT count(*) FROM s) AS seen, (SELECT min(id) FROM s) AS last
FROM (SELECT) AS one LEFT JOIN p ON true ORDER BY p.id DESC
"""  # noqa: S608 - constants

HEALTH: Final = f"""
WITH e AS (SELECT DISTINCT unnest($2::text[]) AS endpoint),
j AS (
    SELECT endpoint, count(*) FILTER (WHERE status = 0) AS queued, count(*) FILTER (WHERE status = 1) AS running,
        count(*) FILTER (WHERE status = 2) AS completed, count(*) FILTER (WHERE status IN (3, 5)) AS failed,
        coalesce(sum(takes - 1) FILTER (WHERE takes > 1), 0)::bigint AS retried
    FROM job JOIN e USING (endpoint) GROUP BY endpoint),
b AS (SELECT DISTINCT endpoint, worker_id FROM job JOIN e USING (endpoint) WHERE status = 1),
i AS (
    SELECT endpoint, count(*) AS idle FROM worker AS w JOIN e USING (endpoint)
    WHERE seen > {NOW} - $3::bigint AND NOT EXISTS (SELECT FROM b WHERE (b.endpoint, b.worker_id) = (w.endpoint, w.id))
    GROUP BY endpoint)
SELECT e.endpoint, coalesce(queued, 0) AS queued, coalesce(running, 0) AS running, coalesce(completed, 0) AS completed,
    coalesce(failed, 0) AS failed, coalesce(retried, 0) AS retried, coalesce(i.idle, 0) AS idle_workers,
    (SELECT count(*) FROM b WHERE b.endpoint = e.endpoint) AS running_workers,
    j.endpoint IS NOT NULL OR i.idle > 0 AS is_known
FROM e LEFT JOIN j ON j.endpoint = e.endpoint LEFT JOIN i ON i.endpoint = e.endpoint
"""  # noqa: S608 - constants

ENDPOINTS: Final = """
WITH RECURSIVE e AS (
    (SELECT endpoint FROM job ORDER BY endpoint LIMIT 1)
    UNION ALL SELECT (SELECT job.endpoint FROM job WHERE job.endpoint > e.endpoint ORDER BY job.endpoint LIMIT 1) FROM e
    WHERE e.endpoint IS NOT NULL)
SELECT endpoint FROM e WHERE endpoint IS NOT NULL UNION SELECT endpoint FROM worker
"""
"""From one endpoint to the next along the primary key, however many jobs they have."""
