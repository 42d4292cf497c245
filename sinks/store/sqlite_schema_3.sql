-- SPDX-License-Identifier: Apache-2.0
-- What user_version 3 adds: how completely sources were listened to, and finding posts by their address.

-- When the source's plan wants its next poll: what lies before now was not made.
ALTER TABLE source_state ADD COLUMN plan_us INTEGER;

-- A source's hour, as its collector told it last.
CREATE TABLE coverage (
    hour_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    planned INTEGER NOT NULL,
    made INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    ours INTEGER NOT NULL,                  -- of the failed ones, through our own outage
    requests INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    gaps INTEGER NOT NULL,
    ages TEXT NOT NULL,                     -- of posts when they came: counts, as in the message
    PRIMARY KEY (hour_us, source)
) STRICT, WITHOUT ROWID;

-- The same of all sources together: a view of a year reads these, however many sources there are.
-- `part` is the partition that the counts came by: a row has one sink that writes it.
CREATE TABLE coverage_total (
    hour_us INTEGER NOT NULL,
    part INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    made INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    ours INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    gaps INTEGER NOT NULL,
    ages TEXT NOT NULL,
    PRIMARY KEY (hour_us, part)
) STRICT, WITHOUT ROWID;

-- Stretches of time of which something may be missing.
CREATE TABLE coverage_gap (
    source TEXT NOT NULL,
    kind TEXT NOT NULL,                     -- gap, away, refused, outage
    from_us INTEGER NOT NULL,               -- 0: unknown since when
    to_us INTEGER NOT NULL,
    found_us INTEGER NOT NULL,
    polls INTEGER NOT NULL,                 -- that the plan had in it
    why TEXT,
    PRIMARY KEY (source, kind, from_us, to_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX coverage_gap_to ON coverage_gap (to_us);
CREATE INDEX coverage_gap_found ON coverage_gap (source, kind, found_us);

CREATE INDEX insight_url ON insight (url) WHERE url IS NOT NULL;
