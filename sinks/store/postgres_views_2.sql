-- SPDX-License-Identifier: Apache-2.0
-- What version 2 adds for other programs, as in postgres_views_1.sql.

CREATE OR REPLACE VIEW coverage_hourly AS
SELECT timestamptz 'epoch' + hour_us * interval '1 microsecond' AS hour,
       source,
       planned AS polls_planned,
       made AS polls_made,
       failed AS attempts_failed,
       ours AS attempts_failed_by_us,
       requests,
       posts,
       gaps
FROM coverage;
COMMENT ON VIEW coverage_hourly IS 'How completely each source was listened to, hour by hour, for 35 days.';
COMMENT ON COLUMN coverage_hourly.hour IS
    'When the hour began.';
COMMENT ON COLUMN coverage_hourly.source IS
    'The name of the source in the configuration.';
COMMENT ON COLUMN coverage_hourly.polls_planned IS
    'How many polls its interval asked for; those of stretches in coverage_gaps come on top.';
COMMENT ON COLUMN coverage_hourly.polls_made IS
    'How many came to their end.';
COMMENT ON COLUMN coverage_hourly.attempts_failed IS
    'How many attempts failed; one poll may fail several times.';
COMMENT ON COLUMN coverage_hourly.attempts_failed_by_us IS
    'Of these, how many failed since our own network was away.';
COMMENT ON COLUMN coverage_hourly.requests IS
    'How many requests that took.';
COMMENT ON COLUMN coverage_hourly.posts IS
    'How many new posts came.';
COMMENT ON COLUMN coverage_hourly.gaps IS
    'How often the source no longer had all that was said since the last poll.';

CREATE OR REPLACE VIEW coverage_gaps AS
SELECT source,
       kind,
       CASE WHEN from_us <> 0 THEN timestamptz 'epoch' + from_us * interval '1 microsecond' END AS since,
       timestamptz 'epoch' + to_us * interval '1 microsecond' AS until,
       polls AS polls_planned,
       why
FROM coverage_gap;
COMMENT ON VIEW coverage_gaps IS 'Stretches of time of which posts may be missing.';
COMMENT ON COLUMN coverage_gaps.source IS
    'The name of the source in the configuration.';
COMMENT ON COLUMN coverage_gaps.kind IS
    'gap: the server no longer gave what was said then; away: nobody asked; refused: the source refused us; outage: our own network was away.';
COMMENT ON COLUMN coverage_gaps.since IS
    'When it began; empty where that is not known.';
COMMENT ON COLUMN coverage_gaps.until IS
    'When it ended.';
COMMENT ON COLUMN coverage_gaps.polls_planned IS
    'How many polls were planned in it and not made.';
COMMENT ON COLUMN coverage_gaps.why IS
    'Why, in a sentence.';
