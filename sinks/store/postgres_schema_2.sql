-- SPDX-License-Identifier: Apache-2.0
-- What version 2 adds: how completely sources were listened to, and finding posts by their address (sqlite_schema_3.sql says
-- what is what).

ALTER TABLE source_state ADD COLUMN plan_us bigint;

CREATE TABLE coverage (
    hour_us bigint NOT NULL,
    source text COLLATE "C" NOT NULL,
    planned bigint NOT NULL,
    made bigint NOT NULL,
    failed bigint NOT NULL,
    ours bigint NOT NULL,
    requests bigint NOT NULL,
    posts bigint NOT NULL,
    gaps bigint NOT NULL,
    ages text NOT NULL,
    PRIMARY KEY (hour_us, source)
);

CREATE TABLE coverage_total (
    hour_us bigint NOT NULL,
    part bigint NOT NULL,
    planned bigint NOT NULL,
    made bigint NOT NULL,
    failed bigint NOT NULL,
    ours bigint NOT NULL,
    requests bigint NOT NULL,
    posts bigint NOT NULL,
    gaps bigint NOT NULL,
    ages text NOT NULL,
    PRIMARY KEY (hour_us, part)
);

CREATE TABLE coverage_gap (
    source text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    from_us bigint NOT NULL,
    to_us bigint NOT NULL,
    found_us bigint NOT NULL,
    polls bigint NOT NULL,
    why text,
    PRIMARY KEY (source, kind, from_us, to_us)
);
CREATE INDEX coverage_gap_to ON coverage_gap (to_us);
CREATE INDEX coverage_gap_found ON coverage_gap (source, kind, found_us);

-- Hashed: an address may be longer than what a B-tree takes.
CREATE INDEX insight_url ON insight USING hash (url) WHERE url IS NOT NULL;
