-- SPDX-License-Identifier: Apache-2.0
-- What user_version 2 adds: work that waits for the holder, the trend cells as they were last
-- counted, and the ledger that the audit balances.

-- Where somebody now says, or no longer says, something that others may have copied: the posts of
-- this fold in the 30 days from created_us on are asked anew whose copies they are. Rows are only
-- ever added; the holder marks those that it has seen, and takes exactly these out.
CREATE TABLE copy_queue (
    n INTEGER PRIMARY KEY,
    fold INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    stretch INTEGER NOT NULL,               -- the 32 days that created_us lies in
    taken INTEGER NOT NULL                  -- 1: the holder works on it
) STRICT;

-- The cells of the trend cube as of the last roll-up, for who publishes them: a change is told by
-- them, and the relay reads them when it sends.
CREATE TABLE trend_cell (
    day INTEGER NOT NULL,
    hour INTEGER NOT NULL,                  -- 0..23, or -1 for the whole day
    brand INTEGER NOT NULL,
    label INTEGER NOT NULL,
    posts INTEGER NOT NULL,
    people INTEGER NOT NULL,
    conversations INTEGER NOT NULL,
    at_us INTEGER NOT NULL,                 -- when it came to be so
    PRIMARY KEY (day, hour, brand, label)
) STRICT, WITHOUT ROWID;

-- How many messages of a source and an hour (that of their version) were written to a topic (reader
-- '') and were read from it: came in, and went on in one way or another. `part` is the partition
-- that the count came by: a row has one sink that writes it, and the sum over them counts.
CREATE TABLE ledger (
    hour_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    topic TEXT NOT NULL,
    reader TEXT NOT NULL,
    part INTEGER NOT NULL,
    came INTEGER NOT NULL,
    went INTEGER NOT NULL,
    PRIMARY KEY (hour_us, source, topic, reader, part)
) STRICT, WITHOUT ROWID;

-- Since when a group keeps books: what it did not read before is no loss.
CREATE TABLE ledger_reader (
    reader TEXT PRIMARY KEY,
    since_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What does not balance although nothing is under way, as of the last look.
CREATE TABLE ledger_difference (
    hour_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    topic TEXT NOT NULL,
    reader TEXT NOT NULL,
    kind TEXT NOT NULL,                     -- lost, doubled, unsettled
    amount INTEGER NOT NULL,
    since_us INTEGER NOT NULL,              -- when it was first found
    PRIMARY KEY (hour_us, source, topic, reader)
) STRICT, WITHOUT ROWID;
