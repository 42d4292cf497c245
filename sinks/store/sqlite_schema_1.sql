-- SPDX-License-Identifier: Apache-2.0
-- The store, as of user_version 1. Storage is UTC in microseconds since 1970; days and hours are
-- calendar days (since 1970-01-01) and hours of the configured time zone. Hashes of ids and of
-- pseudonyms are the 16 bytes of hash128, as in the topic `forgotten`.

-- What is known about the store itself: its time zone, when it was made.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What was counted and is kept nowhere else, such as too_old.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every brand, label, touch point, channel, source, language and theme once: facts name them by
-- number. 0 is '' (all of them, or none); a post that names no brand counts under brand '-'.
CREATE TABLE name (
    n INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO name (n, text) VALUES (0, '');

-- Where the sink stands: written in the transaction of the rows, moved under a guard.
CREATE TABLE position (
    topic TEXT NOT NULL,
    part INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (topic, part)
) STRICT, WITHOUT ROWID;

-- One row a post, as its latest version says. `body` is the whole insight as it lay in the log.
CREATE TABLE insight (
    "row" INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
    id TEXT NOT NULL CHECK (id <> ''),
    version INTEGER NOT NULL CHECK (version > 0),
    model TEXT NOT NULL,                    -- generation that judged it; '' before any did
    source TEXT NOT NULL,                   -- the first that brought it
    also TEXT NOT NULL,                     -- the others, a sorted JSON array
    platform TEXT,
    channel TEXT NOT NULL,
    url TEXT,
    author TEXT NOT NULL,                   -- keyed pseudonym; '' where unknown
    author_name TEXT,
    person INTEGER NOT NULL,                -- who counts: of the pseudonym, or of the id where it is unknown
    created_us INTEGER NOT NULL,
    edited_us INTEGER,
    collected_us INTEGER,
    day INTEGER NOT NULL,
    hour INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    title TEXT,
    text TEXT,
    lang TEXT NOT NULL,
    thread TEXT,
    parent TEXT,
    conversation INTEGER NOT NULL,          -- of the thread, or of the id where there is none
    rating REAL,
    engagement TEXT,                        -- JSON as it came
    flags TEXT,                             -- JSON as it came
    audience INTEGER NOT NULL CHECK (audience BETWEEN 0 AND 2), -- 0 customers, 1 our own staff, 2 our own accounts
    wish REAL,
    complaint REAL,
    praise REAL,
    sentiment REAL,
    labels TEXT NOT NULL,                   -- sorted JSON array, people's corrections applied
    fold INTEGER,                           -- hash of the folded text; null where it is too short to be called a copy
    copy INTEGER NOT NULL CHECK (copy IN (0, 1)), -- somebody else, or another source, said the same before
    body TEXT NOT NULL
) STRICT;
-- Both begin with a stretch of 32 days: what is written today lies together, so that a post costs the
-- same however long the history is. A window of 30 days touches two stretches.
CREATE INDEX insight_fold ON insight (day / 32, fold, created_us) WHERE fold IS NOT NULL;
CREATE INDEX insight_person ON insight (day / 32, person);

-- Posts that were deleted or dropped: an older version must not bring them back.
CREATE TABLE gone (
    hash BLOB PRIMARY KEY,
    version INTEGER NOT NULL,
    model TEXT NOT NULL,
    deleted INTEGER NOT NULL                -- 1 deleted: only a later version returns; 0 dropped: an equal one may
) STRICT, WITHOUT ROWID;
CREATE INDEX gone_version ON gone (version);

-- What must never come back, whoever brings it: posts and authors that people had removed.
CREATE TABLE forgotten (
    hash BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What views count: for a post one row for each brand x ('' and each label) x ('' and each touch
-- point). Clustered by day and post, so that a period is one stretch of the file and a post's rows
-- lie together. `author` is 0 for a copy: nobody is counted.
CREATE TABLE fact_row (
    day INTEGER NOT NULL,
    post INTEGER NOT NULL,
    brand INTEGER NOT NULL,
    label INTEGER NOT NULL,
    touchpoint INTEGER NOT NULL,
    audience INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    source INTEGER NOT NULL,
    lang INTEGER NOT NULL,
    theme INTEGER NOT NULL,
    author INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (day, post, brand, label, touchpoint)
) STRICT, WITHOUT ROWID;

-- The same in words, for people and tests.
CREATE VIEW fact AS
SELECT i.id AS post, date(f.day * 86400, 'unixepoch') AS day, f.hour AS hour, b.text AS brand,
       l.text AS label, c.text AS channel, s.text AS source, g.text AS lang, t.text AS touchpoint,
       h.text AS theme, f.audience AS audience, f.author AS author, f.thread AS thread,
       f.created_us AS created_us
FROM fact_row f
JOIN insight i ON i."row" = f.post
JOIN name b ON b.n = f.brand
JOIN name l ON l.n = f.label
JOIN name c ON c.n = f.channel
JOIN name s ON s.n = f.source
JOIN name g ON g.n = f.lang
JOIN name t ON t.n = f.touchpoint
JOIN name h ON h.n = f.theme;

-- A cache of facts about customers by day: recomputed whole for what is dirty, primary data beyond
-- the horizon.
CREATE TABLE rollup_row (
    day INTEGER NOT NULL,
    brand INTEGER NOT NULL,
    label INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    people INTEGER NOT NULL,
    conversations INTEGER NOT NULL,
    PRIMARY KEY (day, brand, label)
) STRICT, WITHOUT ROWID;
CREATE VIEW rollup_day AS
SELECT date(r.day * 86400, 'unixepoch') AS day, b.text AS brand, l.text AS label, r.posts AS posts,
       r.people AS people, r.conversations AS conversations
FROM rollup_row r JOIN name b ON b.n = r.brand JOIN name l ON l.n = r.label;
CREATE TABLE dirty (
    day INTEGER NOT NULL,
    brand INTEGER NOT NULL,
    PRIMARY KEY (day, brand)
) STRICT, WITHOUT ROWID;

-- What people decided, in the order of the log; one about a post that has not come yet waits here.
CREATE TABLE decision (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (id <> ''),
    post BLOB NOT NULL,
    kind TEXT NOT NULL,
    at TEXT,
    who TEXT,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX decision_post ON decision (post);

-- How each source fares, from the topic `cursors`: what completeness is told from.
CREATE TABLE source_state (
    source TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    at_us INTEGER,
    last_success_us INTEGER,
    last_post_us INTEGER,
    next_us INTEGER,
    every_us INTEGER,
    code TEXT,
    error TEXT,
    failures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What has still to leave: a reject with its value, or the name of what changed (a week of the
-- trend feed), whose value the relay reads when it sends.
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT,
    UNIQUE (kind, key)
) STRICT;

-- The trend feed as it was last written: an entry keeps its instant until its numbers change.
CREATE TABLE feed_entry (
    week INTEGER NOT NULL,                  -- the day its Monday is
    brand TEXT NOT NULL,
    label TEXT NOT NULL,
    summary TEXT NOT NULL,                  -- everything that shows, to tell a change by
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (week, brand, label)
) STRICT, WITHOUT ROWID;
