-- SPDX-License-Identifier: Apache-2.0
-- Everything the store is asked, each under the name that store.h knows it by. Parameters are
-- numbered and bound; no text is ever built from data.

-- name: meta_get
SELECT value FROM meta WHERE key = ?1;

-- name: meta_first
INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING;

-- name: meta_set
INSERT INTO meta (key, value) VALUES (?1, ?2)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: counter_add
INSERT INTO counter (name, value) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value;

-- name: counter_each
SELECT name, value FROM counter ORDER BY name;

-- name: name_find
SELECT n FROM name WHERE text = ?1;

-- name: name_add
INSERT INTO name (text) VALUES (?1)
ON CONFLICT (text) DO UPDATE SET text = excluded.text RETURNING n;

-- name: name_each
SELECT n, text FROM name ORDER BY n;

-- name: position_each
SELECT topic, part, next FROM position ORDER BY topic, part;

-- name: position_of
SELECT next FROM position WHERE topic = ?1 AND part = ?2;

-- name: position_first
INSERT INTO position (topic, part, next) VALUES (?1, ?2, ?3)
ON CONFLICT (topic, part) DO NOTHING;

-- name: position_move
UPDATE position SET next = ?3 WHERE topic = ?1 AND part = ?2 AND next = ?4;

-- What stands against a post, or about it: ?1 hash of its id, ?2 hash of its author (or null).
-- name: post_known
SELECT g.version, g.model, g.deleted,
       EXISTS (SELECT 1 FROM forgotten WHERE hash = ?1 OR hash = ?2),
       EXISTS (SELECT 1 FROM decision WHERE post = ?1)
FROM (SELECT 1 AS one) AS o LEFT JOIN gone AS g ON g.hash = ?1;

-- The same of many (?1), but for authors, where there is anything.
-- name: post_known_many
WITH RECURSIVE at (n) AS (SELECT 1 UNION ALL SELECT n + 16 FROM at WHERE n + 16 < length(?1))
SELECT * FROM (
    SELECT h.hash, g.version, g.model, g.deleted,
           EXISTS (SELECT 1 FROM forgotten AS f WHERE f.hash = h.hash) AS forgotten,
           EXISTS (SELECT 1 FROM decision AS d WHERE d.post = h.hash) AS decided
    FROM (SELECT substr(?1, n, 16) AS hash FROM at) AS h LEFT JOIN gone AS g ON g.hash = h.hash) AS k
WHERE version IS NOT NULL OR forgotten OR decided;

-- name: insight_find
SELECT "row", version, model, source, also, day, created_us, coalesce(fold, 0), author, copy
FROM insight WHERE hash = ?1;

-- The same for a writer, who keeps others off the row until its transaction ends (PostgreSQL: FOR
-- UPDATE, as insight_hold_body).
-- name: insight_hold
SELECT "row", version, model, source, also, day, created_us, coalesce(fold, 0), author, copy
FROM insight WHERE hash = ?1;

-- The same of many, for a shared store: ?1 the hashes one behind the other, 16 bytes each.
-- name: insight_hold_many
WITH RECURSIVE at (n) AS (SELECT 1 UNION ALL SELECT n + 16 FROM at WHERE n + 16 < length(?1))
SELECT hash, "row", version, model, source, also, day, created_us, coalesce(fold, 0), author, copy
FROM insight WHERE hash IN (SELECT substr(?1, n, 16) FROM at);

-- Numbers for posts to come: the first of a block of 1024 that are nobody else's.
-- name: insight_rows
SELECT coalesce(max("row"), 0) + 1 FROM insight;

-- name: insight_add
INSERT INTO insight (hash, id, version, model, source, also, platform, channel, url, author,
    author_name, person, created_us, edited_us, collected_us, day, hour, title, text, lang, thread,
    parent, conversation, rating, engagement, flags, audience, wish, complaint, praise, sentiment,
    labels, fold, copy, body, "row")
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
    ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35,
    ?36);

-- name: insight_replace
UPDATE insight SET hash = ?1, id = ?2, version = ?3, model = ?4, source = ?5, also = ?6,
    platform = ?7, channel = ?8, url = ?9, author = ?10, author_name = ?11, person = ?12,
    created_us = ?13, edited_us = ?14, collected_us = ?15, day = ?16, hour = ?17, title = ?18,
    text = ?19, lang = ?20, thread = ?21, parent = ?22, conversation = ?23, rating = ?24,
    engagement = ?25, flags = ?26, audience = ?27, wish = ?28, complaint = ?29, praise = ?30,
    sentiment = ?31, labels = ?32, fold = ?33, copy = ?34, body = ?35
WHERE "row" = ?36;

-- name: insight_also
UPDATE insight SET also = ?2 WHERE "row" = ?1;

-- name: insight_refresh
UPDATE insight SET labels = ?2, day = ?3, hour = ?4 WHERE "row" = ?1;

-- name: insight_delete
DELETE FROM insight WHERE "row" = ?1;

-- name: insight_by_person
SELECT "row", author FROM insight
WHERE day / 32 IN (
    WITH RECURSIVE stretch (n) AS (
        SELECT min(day / 32) FROM insight UNION ALL
        SELECT n + 1 FROM stretch WHERE n < (SELECT max(day / 32) FROM insight))
    SELECT n FROM stretch) AND person = ?1;

-- Posts that the horizon has passed, oldest first: facts lie in order of days.
-- name: insight_before_day
SELECT post FROM fact_row WHERE day < ?1 ORDER BY day, post LIMIT ?2;

-- name: insight_each_row
SELECT "row" FROM insight WHERE "row" > ?1 ORDER BY "row" LIMIT ?2;

-- name: insight_body
SELECT body, source, day, copy, coalesce(fold, 0), created_us, hash, version, model
FROM insight WHERE "row" = ?1;

-- name: insight_hold_body
SELECT body, source, day, copy, coalesce(fold, 0), created_us, hash, version, model
FROM insight WHERE "row" = ?1;

-- name: insight_show
SELECT id, source, url, title, text, author, author_name, thread, created_us, edited_us, labels,
       wish, complaint, praise, version, channel, lang, body, hash
FROM insight WHERE "row" = ?1;

-- What tells whether a post answers an ask.
-- name: insight_asked
SELECT id, source, also, url, thread, created_us FROM insight WHERE "row" = ?1;

-- The posts at an address.
-- name: insight_of_url
SELECT id, thread FROM insight WHERE url = ?1 OR url = ?2 ORDER BY id LIMIT 500;

-- name: insight_by_id
SELECT "row" FROM insight ORDER BY id;

-- Everything of the posts that follows from messages, for comparing two stores.
-- name: insight_state
SELECT id, version, model, source, also, person, conversation, created_us, day, hour, audience, labels,
       coalesce(fold, 0), copy, body
FROM insight ORDER BY id;

-- name: insight_span
SELECT count(*), min(created_us), max(created_us) FROM insight;

-- name: gone_put
INSERT INTO gone (hash, version, model, deleted) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (hash) DO UPDATE
SET version = excluded.version, model = excluded.model, deleted = excluded.deleted;

-- name: gone_clear
DELETE FROM gone WHERE hash = ?1;

-- name: gone_old
SELECT 1 FROM gone WHERE version < ?1 LIMIT 1;

-- name: gone_expire
DELETE FROM gone WHERE version < ?1;

-- Does another post (than ?5) in these stretches of 32 days say the same? Mostly none does, and that
-- is all.
-- name: copy_near
SELECT 1 FROM insight WHERE day / 32 IN (?2, ?3, ?4) AND fold = ?1 AND hash <> ?5 LIMIT 1;

-- name: copy_queue_add
INSERT INTO copy_queue (fold, created_us, stretch, taken) VALUES (?1, ?2, ?3, ?4);

-- name: copy_queue_take
UPDATE copy_queue SET taken = 1
WHERE n IN (SELECT n FROM copy_queue WHERE taken = 0 ORDER BY n LIMIT ?1);

-- name: copy_queue_done
DELETE FROM copy_queue WHERE taken = 1;

-- name: copy_queue_count
SELECT count(*) FROM copy_queue;

-- Posts, after row ?2, that are marked otherwise than they should be, as far as the rows taken tell:
-- a copy is what another author or source said within the window (?1) before. At most ?3.
-- name: copy_wrong
SELECT i."row" FROM (SELECT DISTINCT fold, created_us, stretch FROM copy_queue WHERE taken = 1) AS t
JOIN insight AS i
ON i.day / 32 IN (t.stretch - 1, t.stretch, t.stretch + 1) AND i.fold = t.fold
   AND i.created_us BETWEEN t.created_us AND t.created_us + ?1
WHERE +i."row" > ?2 AND i.copy <> CASE WHEN EXISTS (
    SELECT 1 FROM insight AS q
    WHERE q.day / 32 IN (i.day / 32 - 1, i.day / 32) AND q.fold = i.fold
      AND q.created_us BETWEEN i.created_us - ?1 AND i.created_us
      AND (q.created_us, q.hash) < (i.created_us, i.hash)
      AND (q.source <> i.source OR q.author <> i.author)) THEN 1 ELSE 0 END
GROUP BY i."row" ORDER BY i."row" LIMIT ?3;

-- Marks one (?2) as it should be.
-- name: copy_settle
UPDATE insight SET copy = 1 - copy
WHERE "row" = ?2 AND copy <> CASE WHEN EXISTS (
    SELECT 1 FROM insight AS q
    WHERE q.day / 32 IN (insight.day / 32 - 1, insight.day / 32) AND q.fold = insight.fold
      AND q.created_us BETWEEN insight.created_us - ?1 AND insight.created_us
      AND (q.created_us, q.hash) < (insight.created_us, insight.hash)
      AND (q.source <> insight.source OR q.author <> insight.author)) THEN 1 ELSE 0 END
RETURNING day, CASE WHEN copy = 1 THEN 0 ELSE person END;

-- name: fact_add
INSERT INTO fact_row (day, post, brand, label, touchpoint, audience, hour, channel, source, lang,
    theme, author, thread, created_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14);

-- name: fact_delete
DELETE FROM fact_row WHERE day = ?1 AND post = ?2;

-- name: fact_brands
INSERT INTO dirty (day, brand)
SELECT DISTINCT day, brand FROM fact_row WHERE day = ?1 AND post = ?2
ON CONFLICT DO NOTHING;

-- name: fact_person
UPDATE fact_row SET author = ?3 WHERE day = ?1 AND post = ?2;

-- What views read: a post's labels stand in its rows without a touch point, its touch points in
-- those without a label, its brands in both.
-- name: fact_scan
SELECT post, brand, label, touchpoint, audience, channel, source, lang, theme, author, thread,
       created_us, day
FROM fact_row
WHERE day BETWEEN ?1 AND ?2 AND created_us >= ?3 AND created_us < ?4
  AND (label = 0 OR touchpoint = 0)
ORDER BY day, post, brand, label, touchpoint;

-- name: fact_each
SELECT post, day, hour, brand, label, channel, source, lang, touchpoint, theme, audience, author,
       thread, created_us
FROM fact ORDER BY post, brand, label, touchpoint;

-- name: fact_count
SELECT count(*) FROM fact_row;

-- name: dirty_add
INSERT INTO dirty (day, brand) VALUES (?1, ?2) ON CONFLICT DO NOTHING;

-- name: dirty_days
SELECT DISTINCT day FROM dirty ORDER BY day DESC LIMIT ?1;

-- name: dirty_count
SELECT count(*) FROM (SELECT DISTINCT day, brand FROM dirty) AS d;

-- name: dirty_all
INSERT INTO dirty (day, brand) SELECT DISTINCT day, brand FROM fact_row WHERE day >= ?1
ON CONFLICT DO NOTHING;

-- What is seen of the queue goes first; the facts are read by later statements, so that what is
-- marked in between is counted once more.
-- name: dirty_clear
DELETE FROM dirty WHERE day = ?1;

-- name: dirty_forget_before
DELETE FROM dirty WHERE day < ?1;

-- name: rollup_clear
DELETE FROM rollup_row WHERE day = ?1;

-- name: rollup_fill
INSERT INTO rollup_row (day, brand, label, posts, people, conversations)
SELECT day, brand, label, count(*), count(DISTINCT CASE WHEN author <> 0 THEN author END),
       count(DISTINCT thread)
FROM fact_row
WHERE day = ?1 AND touchpoint = 0 AND audience = 0
GROUP BY day, brand, label;

-- Cells of a day (?1) that are no longer what trend_cell says, hour -1 standing for the day: those
-- of the day where ?2 is 1, those of its hours where ?3 is 1.
-- name: trend_changed
WITH counted AS (
    SELECT -1 AS hour, brand, label, count(*) AS posts,
           count(DISTINCT CASE WHEN author <> 0 THEN author END) AS people,
           count(DISTINCT thread) AS conversations
    FROM fact_row WHERE day = ?1 AND touchpoint = 0 AND audience = 0 AND ?2 = 1
    GROUP BY brand, label
    UNION ALL
    SELECT hour, brand, label, count(*), count(DISTINCT CASE WHEN author <> 0 THEN author END),
           count(DISTINCT thread)
    FROM fact_row WHERE day = ?1 AND touchpoint = 0 AND audience = 0 AND ?3 = 1
    GROUP BY hour, brand, label),
said AS (
    SELECT hour, brand, label, posts, people, conversations FROM trend_cell WHERE day = ?1)
SELECT d.hour, b.text, l.text, d.brand, d.label, c.posts, c.people, c.conversations
FROM (SELECT hour, brand, label FROM (SELECT * FROM counted EXCEPT SELECT * FROM said) AS x
      UNION
      SELECT hour, brand, label FROM (SELECT * FROM said EXCEPT SELECT * FROM counted) AS y) AS d
JOIN name AS b ON b.n = d.brand JOIN name AS l ON l.n = d.label
LEFT JOIN counted AS c ON c.hour = d.hour AND c.brand = d.brand AND c.label = d.label
ORDER BY d.hour, d.brand, d.label;

-- name: trend_put
INSERT INTO trend_cell (day, hour, brand, label, posts, people, conversations, at_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (day, hour, brand, label) DO UPDATE
SET posts = excluded.posts, people = excluded.people, conversations = excluded.conversations,
    at_us = excluded.at_us;

-- name: trend_delete
DELETE FROM trend_cell WHERE day = ?1 AND hour = ?2 AND brand = ?3 AND label = ?4;

-- name: trend_value
SELECT c.posts, c.people, c.conversations, c.at_us, b.text, l.text
FROM trend_cell AS c JOIN name AS b ON b.n = c.brand JOIN name AS l ON l.n = c.label
WHERE c.day = ?1 AND c.hour = ?2 AND c.brand = ?3 AND c.label = ?4;

-- name: trend_forget_before
DELETE FROM trend_cell WHERE day < ?1;

-- name: rollup_each
SELECT day, brand, label, posts, people, conversations FROM rollup_day ORDER BY day, brand, label;

-- How many rows of the cache differ from the facts, from day ?1 on, but for what is dirty.
-- name: rollup_wrong
WITH said AS (
    SELECT day, brand, label, posts, people, conversations FROM rollup_row WHERE day >= ?1),
counted AS (
    SELECT day, brand, label, count(*), count(DISTINCT CASE WHEN author <> 0 THEN author END),
           count(DISTINCT thread)
    FROM fact_row WHERE day >= ?1 AND touchpoint = 0 AND audience = 0
    GROUP BY day, brand, label),
differ AS (
    SELECT * FROM (SELECT * FROM said EXCEPT SELECT * FROM counted) AS a
    UNION ALL
    SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM said) AS b)
SELECT count(*) FROM differ
WHERE NOT EXISTS (SELECT 1 FROM dirty AS d WHERE d.day = differ.day AND d.brand = differ.brand);

-- name: decision_add
INSERT INTO decision (id, post, kind, at, who, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (id) DO NOTHING;

-- name: decision_of_post
SELECT body FROM decision WHERE post = ?1 AND kind = ?2 ORDER BY seq;

-- name: decision_counts
SELECT count(*), coalesce(sum(CASE WHEN i.hash IS NULL AND d.kind <> 'ask' THEN 1 ELSE 0 END), 0)
FROM decision AS d LEFT JOIN insight AS i ON i.hash = d.post;

-- name: forgotten_add
INSERT INTO forgotten (hash, kind, at_us) VALUES (?1, ?2, ?3) ON CONFLICT (hash) DO NOTHING;

-- name: forgotten_authors
SELECT hash FROM forgotten WHERE kind = 'author' LIMIT ?1;

-- name: source_put
INSERT INTO source_state (source, state, at_us, last_success_us, last_post_us, next_us, every_us,
    code, error, failures, plan_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (source) DO UPDATE
SET state = excluded.state, at_us = excluded.at_us, last_success_us = excluded.last_success_us,
    last_post_us = excluded.last_post_us, next_us = excluded.next_us, every_us = excluded.every_us,
    code = excluded.code, error = excluded.error, failures = excluded.failures,
    plan_us = excluded.plan_us;

-- name: source_delete
DELETE FROM source_state WHERE source = ?1;

-- name: source_each
SELECT source, state, at_us, last_success_us, last_post_us, next_us, every_us, code, error, failures,
       plan_us
FROM source_state ORDER BY source;

-- name: coverage_find
SELECT planned, made, failed, ours, requests, posts, gaps, ages FROM coverage
WHERE hour_us = ?1 AND source = ?2;

-- name: coverage_put
INSERT INTO coverage (hour_us, source, planned, made, failed, ours, requests, posts, gaps, ages)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (hour_us, source) DO UPDATE
SET planned = excluded.planned, made = excluded.made, failed = excluded.failed,
    ours = excluded.ours, requests = excluded.requests, posts = excluded.posts,
    gaps = excluded.gaps, ages = excluded.ages;

-- name: coverage_total_find
SELECT planned, made, failed, ours, requests, posts, gaps, ages FROM coverage_total
WHERE hour_us = ?1 AND part = ?2;

-- name: coverage_total_put
INSERT INTO coverage_total (hour_us, part, planned, made, failed, ours, requests, posts, gaps, ages)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (hour_us, part) DO UPDATE
SET planned = excluded.planned, made = excluded.made, failed = excluded.failed,
    ours = excluded.ours, requests = excluded.requests, posts = excluded.posts,
    gaps = excluded.gaps, ages = excluded.ages;

-- A stretch that is told again is the same. Of one kind a source leaves at most 48 in a day (UTC):
-- a server whose answers are never whole would fill the table.
-- name: coverage_gap_put
INSERT INTO coverage_gap (source, kind, from_us, to_us, found_us, polls, why)
SELECT CAST(?1 AS TEXT), CAST(?2 AS TEXT), CAST(?3 AS BIGINT), CAST(?4 AS BIGINT),
    CAST(?5 AS BIGINT), CAST(?6 AS BIGINT), CAST(?7 AS TEXT)
WHERE (SELECT count(*) FROM coverage_gap
       WHERE source = CAST(?1 AS TEXT) AND kind = CAST(?2 AS TEXT)
           AND found_us >= CAST(?5 AS BIGINT) - CAST(?5 AS BIGINT) % 86400000000
           AND found_us < CAST(?5 AS BIGINT) - CAST(?5 AS BIGINT) % 86400000000 + 86400000000) < 48
ON CONFLICT (source, kind, from_us, to_us) DO NOTHING;

-- name: coverage_expire
DELETE FROM coverage WHERE hour_us < ?1;

-- name: coverage_total_expire
DELETE FROM coverage_total WHERE hour_us < ?1;

-- name: coverage_gap_expire
DELETE FROM coverage_gap WHERE to_us < ?1;

-- Hours that touch a period, all sources together.
-- name: coverage_span
SELECT planned, made, failed, ours, requests, posts, gaps, ages FROM coverage_total
WHERE hour_us > ?1 - 3600000000 AND hour_us < ?2;

-- The same of one source (?3): each hour is looked up, or all sources' would be read.
-- name: coverage_span_of
WITH RECURSIVE hours (t) AS (
    SELECT ?1 - ?1 % 3600000000 UNION ALL SELECT t + 3600000000 FROM hours WHERE t + 3600000000 < ?2)
SELECT planned, made, failed, ours, requests, posts, gaps, ages
FROM hours JOIN coverage ON hour_us = t AND source = ?3;

-- Stretches that touch a period, the latest first; of one source (?3) or of all ('').
-- name: coverage_gap_span
SELECT source, kind, from_us, to_us, found_us, polls, why FROM coverage_gap
WHERE to_us > ?1 AND from_us < ?2 AND (?3 = '' OR source = ?3)
ORDER BY to_us DESC, source;

-- name: outbox_add
INSERT INTO outbox (kind, key, body) VALUES (?1, ?2, ?3) ON CONFLICT (kind, key) DO NOTHING;

-- name: outbox_next
SELECT n, kind, key, body FROM outbox WHERE n > ?1 ORDER BY n LIMIT ?2;

-- name: outbox_delete
DELETE FROM outbox WHERE n = ?1;

-- name: outbox_count
SELECT count(*) FROM outbox;

-- name: feed_each
SELECT week, brand, label, summary, updated_us FROM feed_entry ORDER BY week, brand, label;

-- An entry whose numbers are the same keeps its instant.
-- name: feed_put
INSERT INTO feed_entry (week, brand, label, summary, updated_us) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (week, brand, label) DO UPDATE
SET summary = excluded.summary, updated_us = excluded.updated_us
WHERE feed_entry.summary <> excluded.summary;

-- name: feed_delete
DELETE FROM feed_entry WHERE week = ?1 AND brand = ?2 AND label = ?3;

-- name: ledger_add
INSERT INTO ledger (hour_us, source, topic, reader, part, came, went)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (hour_us, source, topic, reader, part) DO UPDATE
SET came = ledger.came + excluded.came, went = ledger.went + excluded.went;

-- name: ledger_reader_seen
SELECT 1 FROM ledger WHERE reader = ?1 LIMIT 1;

-- name: ledger_reader_add
INSERT INTO ledger_reader (reader, since_us) VALUES (?1, ?2) ON CONFLICT (reader) DO NOTHING;

-- What one reader (?2) of a topic (?1) has not read as often as it was written, or has not settled
-- as often as read, for hours from ?3 on and since it keeps books itself. At most ?4.
-- name: ledger_open
SELECT w.hour_us, w.source, w.wrote, coalesce(r.came, 0), coalesce(r.went, 0)
FROM (SELECT hour_us, source, sum(came) AS wrote FROM ledger
      WHERE topic = ?1 AND reader = '' AND hour_us >= ?3 GROUP BY hour_us, source) AS w
LEFT JOIN (SELECT hour_us, source, sum(came) AS came, sum(went) AS went FROM ledger
           WHERE topic = ?1 AND reader = ?2 AND hour_us >= ?3 GROUP BY hour_us, source) AS r
ON r.hour_us = w.hour_us AND r.source = w.source
WHERE (r.came IS NULL OR w.wrote <> r.came OR r.came <> r.went)
  AND w.hour_us >= coalesce((SELECT since_us FROM ledger_reader WHERE reader = ?2), ?3)
ORDER BY w.hour_us DESC, w.source LIMIT ?4;

-- name: ledger_one
SELECT coalesce(sum(CASE WHEN reader = '' THEN came ELSE 0 END), 0),
       coalesce(sum(CASE WHEN reader = ?4 THEN came ELSE 0 END), 0),
       coalesce(sum(CASE WHEN reader = ?4 THEN went ELSE 0 END), 0)
FROM ledger WHERE hour_us = ?1 AND source = ?2 AND topic = ?3;

-- name: ledger_expire
DELETE FROM ledger WHERE hour_us < ?1;

-- name: difference_put
INSERT INTO ledger_difference (hour_us, source, topic, reader, kind, amount, since_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (hour_us, source, topic, reader) DO UPDATE
SET kind = excluded.kind, amount = excluded.amount;

-- name: difference_delete
DELETE FROM ledger_difference WHERE hour_us = ?1 AND source = ?2 AND topic = ?3 AND reader = ?4;

-- name: difference_each
SELECT hour_us, source, topic, reader, kind, amount, since_us FROM ledger_difference
ORDER BY hour_us, source, topic, reader;
