-- SPDX-License-Identifier: Apache-2.0
-- What PostgreSQL words otherwise than queries.sql, under the same names.

-- A post's row is kept from others until the transaction ends.
-- name: insight_hold
SELECT "row", version, model, source, also, day, created_us, coalesce(fold, 0), author, copy
FROM insight WHERE hash = ?1 FOR UPDATE;

-- name: insight_hold_body
SELECT body, source, day, copy, coalesce(fold, 0), created_us, hash, version, model
FROM insight WHERE "row" = ?1 FOR UPDATE;

-- Each hash is looked up by itself, however large the tables are: a join might read them whole.
-- name: post_known_many
SELECT h.hash, g.version, g.model, g.deleted, f.one IS NOT NULL, d.one IS NOT NULL
FROM (SELECT substr(?1::bytea, 16 * n + 1, 16) AS hash
      FROM generate_series(0, length(?1::bytea) / 16 - 1) AS n) AS h
LEFT JOIN LATERAL (SELECT version, model, deleted FROM gone WHERE gone.hash = h.hash LIMIT 1) AS g ON true
LEFT JOIN LATERAL (SELECT 1 AS one FROM forgotten WHERE forgotten.hash = h.hash LIMIT 1) AS f ON true
LEFT JOIN LATERAL (SELECT 1 AS one FROM decision WHERE decision.post = h.hash LIMIT 1) AS d ON true
WHERE g.version IS NOT NULL OR f.one IS NOT NULL OR d.one IS NOT NULL;

-- Rows are held in one order, whatever the order of the messages.
-- name: insight_hold_many
SELECT hash, "row", version, model, source, also, day, created_us, coalesce(fold, 0), author, copy
FROM insight
WHERE hash = ANY (ARRAY(SELECT substr(?1::bytea, 16 * n + 1, 16)
                        FROM generate_series(0, length(?1::bytea) / 16 - 1) AS n))
ORDER BY hash FOR UPDATE;

-- The sequence counts in blocks.
-- name: insight_rows
SELECT nextval('insight_rows');

-- With IN the planner would make three conditions of it, and read the whole index for each post.
-- name: copy_wrong
SELECT i."row" FROM (SELECT DISTINCT fold, created_us, stretch FROM copy_queue WHERE taken = 1) AS t
JOIN insight AS i
ON i.day / 32 = ANY (ARRAY[t.stretch - 1, t.stretch, t.stretch + 1]) AND i.fold = t.fold
   AND i.created_us BETWEEN t.created_us AND t.created_us + ?1
WHERE i."row" > ?2 AND i.copy <> CASE WHEN EXISTS (
    SELECT 1 FROM insight AS q
    WHERE q.day / 32 = ANY (ARRAY[i.day / 32 - 1, i.day / 32]) AND q.fold = i.fold
      AND q.created_us BETWEEN i.created_us - ?1 AND i.created_us
      AND (q.created_us, q.hash) < (i.created_us, i.hash)
      AND (q.source <> i.source OR q.author <> i.author)) THEN 1 ELSE 0 END
GROUP BY i."row" ORDER BY i."row" LIMIT ?3;
