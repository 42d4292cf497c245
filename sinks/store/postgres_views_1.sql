-- SPDX-License-Identifier: Apache-2.0
-- What other programs read (Grafana, Metabase, psql), in the schema v1: these names, columns and types are
-- kept. Whatever a newer Earshot has to say comes as another column at the end, or as v2.

CREATE OR REPLACE VIEW trend_daily AS
SELECT date '1970-01-01' + r.day::integer AS day,
       b.text AS brand,
       l.text AS label,
       r.posts AS posts,
       r.people AS people,
       r.conversations AS conversations,
       EXISTS (SELECT 1 FROM dirty AS d WHERE d.day = r.day AND d.brand = r.brand) AS provisional
FROM rollup_row AS r JOIN name AS b ON b.n = r.brand JOIN name AS l ON l.n = r.label;
COMMENT ON VIEW trend_daily IS 'Posts, people and conversations by day, brand and label: customers only, copies counted as posts and not as people.';
COMMENT ON COLUMN trend_daily.day IS
    'The day on which it was said, in the configured time zone.';
COMMENT ON COLUMN trend_daily.brand IS
    'The brand, - where none was named.';
COMMENT ON COLUMN trend_daily.label IS
    'The label (wish, complaint, praise and more); empty: posts of any label or none, so do not add it to the others.';
COMMENT ON COLUMN trend_daily.posts IS
    'How many posts; one with two labels stands in both.';
COMMENT ON COLUMN trend_daily.people IS
    'How many different people; do not add people of several days, brands or labels.';
COMMENT ON COLUMN trend_daily.conversations IS
    'How many different conversations they are part of.';
COMMENT ON COLUMN trend_daily.provisional IS
    'True while newer posts of that day and brand wait to be counted, usually less than a second.';

CREATE OR REPLACE VIEW post_insight AS
SELECT i.id AS id,
       i.source AS source,
       i.also AS also,
       i.platform AS platform,
       i.channel AS channel,
       i.url AS url,
       i.author AS author,
       i.author_name AS author_name,
       CASE i.audience WHEN 0 THEN 'customers' WHEN 1 THEN 'staff' ELSE 'ours' END AS audience,
       timestamptz 'epoch' + i.created_us * interval '1 microsecond' AS created_at,
       timestamptz 'epoch' + i.edited_us * interval '1 microsecond' AS edited_at,
       timestamptz 'epoch' + i.collected_us * interval '1 microsecond' AS collected_at,
       date '1970-01-01' + i.day::integer AS day,
       i.hour::integer AS hour,
       i.title AS title,
       i.text AS text,
       i.lang AS lang,
       i.thread AS thread,
       i.parent AS parent,
       i.rating AS rating,
       i.engagement AS engagement,
       i.flags AS flags,
       i.wish AS wish,
       i.complaint AS complaint,
       i.praise AS praise,
       i.sentiment AS sentiment,
       ARRAY(SELECT DISTINCT n.text FROM fact_row AS f JOIN name AS n ON n.n = f.label
             WHERE f.day = i.day AND f.post = i."row" AND f.label <> 0 ORDER BY n.text) AS labels,
       ARRAY(SELECT DISTINCT n.text FROM fact_row AS f JOIN name AS n ON n.n = f.brand
             WHERE f.day = i.day AND f.post = i."row" ORDER BY n.text) AS brands,
       ARRAY(SELECT DISTINCT n.text FROM fact_row AS f JOIN name AS n ON n.n = f.touchpoint
             WHERE f.day = i.day AND f.post = i."row" AND f.touchpoint <> 0 ORDER BY n.text) AS touchpoints,
       (SELECT n.text FROM fact_row AS f JOIN name AS n ON n.n = f.theme
        WHERE f.day = i.day AND f.post = i."row" AND f.theme <> 0 LIMIT 1) AS theme,
       i.copy = 1 AS copy,
       i.version AS version,
       i.model AS model
FROM insight AS i;
COMMENT ON VIEW post_insight IS 'One row a post, as its latest version says and as it was judged; deleted posts are gone.';
COMMENT ON COLUMN post_insight.id IS
    'Globally stable: platform:host:native-id.';
COMMENT ON COLUMN post_insight.source IS
    'The configured source that brought it first.';
COMMENT ON COLUMN post_insight.also IS
    'Other sources that brought it too, a JSON array.';
COMMENT ON COLUMN post_insight.platform IS
    'Such as reddit or discourse.';
COMMENT ON COLUMN post_insight.channel IS
    'forum, blog, social, video, review, survey, frontline, helpdesk, ideas, crowd or internal.';
COMMENT ON COLUMN post_insight.url IS
    'Where it can be read.';
COMMENT ON COLUMN post_insight.author IS
    'A keyed pseudonym, the same for all posts of a person; empty where unknown.';
COMMENT ON COLUMN post_insight.author_name IS
    'The displayed name, only where the configuration switches names on.';
COMMENT ON COLUMN post_insight.audience IS
    'customers, staff (our own people), ours (our own accounts).';
COMMENT ON COLUMN post_insight.created_at IS
    'When it was said.';
COMMENT ON COLUMN post_insight.edited_at IS
    'When it was last edited, as the platform tells; null: never, or it does not tell.';
COMMENT ON COLUMN post_insight.collected_at IS
    'When Earshot read it.';
COMMENT ON COLUMN post_insight.day IS
    'The day on which it was said, in the configured time zone.';
COMMENT ON COLUMN post_insight.hour IS
    'The hour of that day, 0 to 23.';
COMMENT ON COLUMN post_insight.title IS
    'Its title; null: it has none.';
COMMENT ON COLUMN post_insight.text IS
    'Its text, plain.';
COMMENT ON COLUMN post_insight.lang IS
    'Language, as ISO 639; empty where unknown.';
COMMENT ON COLUMN post_insight.thread IS
    'The conversation it is part of, as the platform names it.';
COMMENT ON COLUMN post_insight.parent IS
    'The post it answers.';
COMMENT ON COLUMN post_insight.rating IS
    'Stars and the like, 0 to 1.';
COMMENT ON COLUMN post_insight.engagement IS
    'Likes, replies, shares and views as they came, JSON.';
COMMENT ON COLUMN post_insight.flags IS
    'What is odd about it (time_suspect, text_repaired and more), JSON.';
COMMENT ON COLUMN post_insight.wish IS
    'How likely it wishes for something, 0 to 1.';
COMMENT ON COLUMN post_insight.complaint IS
    'How likely it complains, 0 to 1.';
COMMENT ON COLUMN post_insight.praise IS
    'How likely it praises, 0 to 1.';
COMMENT ON COLUMN post_insight.sentiment IS
    'From -1 (bad) to 1 (good).';
COMMENT ON COLUMN post_insight.labels IS
    'The labels that hold, people’s corrections applied; sorted.';
COMMENT ON COLUMN post_insight.brands IS
    'The brands and competitors it names, or - for none; sorted.';
COMMENT ON COLUMN post_insight.touchpoints IS
    'Where customer and company met (delivery, support and more); sorted.';
COMMENT ON COLUMN post_insight.theme IS
    'What it is about, in one word; null: nothing was found.';
COMMENT ON COLUMN post_insight.copy IS
    'True where another author or source said the same in the 30 days before.';
COMMENT ON COLUMN post_insight.version IS
    'Microseconds since 1970: rises with each change of the post.';
COMMENT ON COLUMN post_insight.model IS
    'The generation of the model that judged it; empty: none did.';

CREATE OR REPLACE VIEW complaint_theme AS
SELECT b.text AS brand,
       t.text AS theme,
       count(DISTINCT f.post) AS posts,
       count(DISTINCT nullif(f.author, 0)) AS people,
       count(DISTINCT nullif(f.author, 0)) FILTER (WHERE f.day > current_date - date '1970-01-01' - 7) AS people_7d,
       count(DISTINCT nullif(f.author, 0)) FILTER (WHERE f.day > current_date - date '1970-01-01' - 30) AS people_30d,
       count(DISTINCT nullif(f.author, 0)) FILTER (WHERE f.day > current_date - date '1970-01-01' - 90) AS people_90d,
       count(DISTINCT f.thread) AS conversations,
       count(DISTINCT (f.day + 3) / 7) AS weeks,
       timestamptz 'epoch' + min(f.created_us) * interval '1 microsecond' AS first_seen,
       timestamptz 'epoch' + max(f.created_us) * interval '1 microsecond' AS last_seen
FROM fact_row AS f
JOIN name AS l ON l.n = f.label AND l.text = 'complaint'
JOIN name AS b ON b.n = f.brand
JOIN name AS t ON t.n = f.theme
WHERE f.theme <> 0 AND f.touchpoint = 0 AND f.audience = 0
GROUP BY b.text, t.text;
COMMENT ON VIEW complaint_theme IS 'What customers complain about, by brand and theme. Only posts in which a theme was found.';
COMMENT ON COLUMN complaint_theme.brand IS
    'The brand, - where none was named.';
COMMENT ON COLUMN complaint_theme.theme IS
    'The theme, in one word.';
COMMENT ON COLUMN complaint_theme.posts IS
    'How many complaints.';
COMMENT ON COLUMN complaint_theme.people IS
    'By how many different people, ever.';
COMMENT ON COLUMN complaint_theme.people_7d IS
    'By how many in the last 7 days.';
COMMENT ON COLUMN complaint_theme.people_30d IS
    'By how many in the last 30 days.';
COMMENT ON COLUMN complaint_theme.people_90d IS
    'By how many in the last 90 days.';
COMMENT ON COLUMN complaint_theme.conversations IS
    'In how many conversations.';
COMMENT ON COLUMN complaint_theme.weeks IS
    'In how many different weeks: three or more is recurring, not a one-off.';
COMMENT ON COLUMN complaint_theme.first_seen IS
    'When it was first said.';
COMMENT ON COLUMN complaint_theme.last_seen IS
    'When it was last said.';

CREATE OR REPLACE VIEW wish AS
SELECT NULL::text AS id,
       NULL::text AS title,
       NULL::text AS need,
       NULL::text AS brand,
       NULL::text AS touchpoint,
       NULL::bigint AS posts,
       NULL::bigint AS people,
       NULL::bigint AS people_7d,
       NULL::bigint AS people_30d,
       NULL::bigint AS people_90d,
       NULL::double precision AS top_author_share,
       NULL::text AS status,
       NULL::timestamptz AS status_at,
       NULL::timestamptz AS first_seen,
       NULL::timestamptz AS last_seen
WHERE false;
COMMENT ON VIEW wish IS 'Wishes that belong together, one row a cluster. Empty until wishes are clustered; the columns stay.';
COMMENT ON COLUMN wish.id IS
    'Stable: the id of the post that founded the cluster.';
COMMENT ON COLUMN wish.title IS
    'The wish in the words of a customer.';
COMMENT ON COLUMN wish.need IS
    'What is behind it.';
COMMENT ON COLUMN wish.brand IS
    'The brand it is said to.';
COMMENT ON COLUMN wish.touchpoint IS
    'Where customer and company meet.';
COMMENT ON COLUMN wish.posts IS
    'How many posts wish for it.';
COMMENT ON COLUMN wish.people IS
    'How many different people, ever.';
COMMENT ON COLUMN wish.people_7d IS
    'How many in the last 7 days.';
COMMENT ON COLUMN wish.people_30d IS
    'How many in the last 30 days.';
COMMENT ON COLUMN wish.people_90d IS
    'How many in the last 90 days.';
COMMENT ON COLUMN wish.top_author_share IS
    'The share of the most talkative person, 0 to 1.';
COMMENT ON COLUMN wish.status IS
    'new, planned, doing, done or declined, as people decided.';
COMMENT ON COLUMN wish.status_at IS
    'Since when.';
COMMENT ON COLUMN wish.first_seen IS
    'When it was first said.';
COMMENT ON COLUMN wish.last_seen IS
    'When it was last said.';

CREATE OR REPLACE VIEW remedy AS
SELECT NULL::text AS id,
       NULL::text AS title,
       NULL::text AS about,
       NULL::text AS brand,
       NULL::text AS touchpoint,
       NULL::date AS since,
       NULL::timestamptz AS registered_at,
       NULL::text AS registered_by,
       NULL::text AS verdict,
       NULL::double precision AS rate_before,
       NULL::double precision AS rate_after,
       NULL::double precision AS change_low,
       NULL::double precision AS change_high
WHERE false;
COMMENT ON VIEW remedy IS 'What was done about a complaint, and whether it helped. Empty until remedies can be registered; the columns stay.';
COMMENT ON COLUMN remedy.id IS
    'Stable.';
COMMENT ON COLUMN remedy.title IS
    'What was done.';
COMMENT ON COLUMN remedy.about IS
    'The complaint it is for.';
COMMENT ON COLUMN remedy.brand IS
    'The brand.';
COMMENT ON COLUMN remedy.touchpoint IS
    'Where customer and company meet.';
COMMENT ON COLUMN remedy.since IS
    'The day from which it holds.';
COMMENT ON COLUMN remedy.registered_at IS
    'When it was registered.';
COMMENT ON COLUMN remedy.registered_by IS
    'By whom.';
COMMENT ON COLUMN remedy.verdict IS
    'fell, held, moved or early (too early to say).';
COMMENT ON COLUMN remedy.rate_before IS
    'The share of people who complain, of those who speak of the touch point, before.';
COMMENT ON COLUMN remedy.rate_after IS
    'The same after.';
COMMENT ON COLUMN remedy.change_low IS
    'The lower end of the interval of the change, against the control series.';
COMMENT ON COLUMN remedy.change_high IS
    'Its upper end.';
