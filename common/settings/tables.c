/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every key of a configuration, described once. Keys of features that are not built yet stand here
 * too, by the name of their feature: whoever writes one is told so, and nothing is accepted and
 * ignored.
 */

#include "common/settings/settings_internal.h"

#define SECTION(key, holder, member, table, about)                                                 \
    {                                                                                              \
        key, EAR_SECTION, offsetof(holder, member), NULL, about, table                             \
    }
#define UNBUILT(key, feature)                                                                      \
    {                                                                                              \
        key, EAR_UNBUILT, 0, NULL, feature, NULL                                                   \
    }
#define UNBUILT_SECTION(key, feature, table)                                                       \
    {                                                                                              \
        key, EAR_UNBUILT, 0, NULL, feature, table                                                  \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, EAR_STRING, 0, NULL, NULL, NULL                                                      \
    }

/* --- features of later versions --- */

static const struct ear_option alert_when[] = {
    UNBUILT("label", "alerts"), UNBUILT("brand", "alerts"),   UNBUILT("growth", "alerts"),
    UNBUILT("over", "alerts"),  UNBUILT("urgency", "alerts"), UNBUILT("at_least", "alerts"),
    UNBUILT("theme", "alerts"), UNBUILT("source", "alerts"),  END,
};

static const struct ear_option alert_send[] = {
    UNBUILT("email", "alerts by e-mail"),
    UNBUILT("webhook", "alerts by webhook"),
    END,
};

static const struct ear_option alerts[] = {
    UNBUILT("name", "alerts"),
    UNBUILT_SECTION("when", "alerts", alert_when),
    UNBUILT_SECTION("send", "alerts", alert_send),
    END,
};

static const struct ear_option digest[] = {
    UNBUILT("every", "the digest"),
    UNBUILT("email", "the digest"),
    END,
};

static const struct ear_option dashboard[] = {
    UNBUILT("listen", "the dashboard"),
    UNBUILT_SECTION("digest", "the digest by e-mail", digest),
    END,
};

static const struct ear_option smtp[] = {
    UNBUILT("url", "mail"),  UNBUILT("from", "mail"),     UNBUILT("to", "mail"),
    UNBUILT("user", "mail"), UNBUILT("password", "mail"), END,
};

static const struct ear_option business_hours[] = {
    UNBUILT("days", "business hours"),
    UNBUILT("from", "business hours"),
    UNBUILT("to", "business hours"),
    END,
};

/* --- earshot.yaml --- */

/* Where a member lies in the struct of its section. NOLINTBEGIN(bugprone-macro-parentheses) */
#define WITHIN(holder, section, member)                                                            \
    (offsetof(struct holder, section.member) - offsetof(struct holder, section))
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct ear_option retention[] = {
    {"retention", EAR_DURATION, 0, " [1s..36500d]",
     "how long messages are kept that all groups have read, such as 30d", NULL},
    END,
};

#define TOPIC(topic)                                                                               \
    {                                                                                              \
        #topic, EAR_SECTION, WITHIN(root_keys, stream.topics, topic), NULL,                        \
            "what the topic " #topic " keeps", retention                                           \
    }

/* Twice as long as an entry of something still shown may get before it is written anew
 * (collectors/ledger.h). */
static const struct ear_option seen_retention[] = {
    {"retention", EAR_DURATION, 0, " [60d..36500d]",
     "how long a source is remembered to have shown something since it last did (90d)", NULL},
    END,
};

static const struct ear_option topics[] = {
    {"partitions", EAR_INTEGER, WITHIN(root_keys, stream.topics, partitions), "4 [1..64]",
     "how many partitions a topic is made with; never changed afterwards", NULL},
    {"replication", EAR_INTEGER, WITHIN(root_keys, stream.topics, replication), "0 [0..32]",
     "Kafka: on how many brokers a topic is made, such as 3; 0: as the brokers have it", NULL},
    TOPIC(posts),
    TOPIC(insights),
    TOPIC(rejects),
    TOPIC(audit),
    {"seen", EAR_SECTION, WITHIN(root_keys, stream.topics, seen), NULL,
     "what the topic seen keeps: what sources were seen to hold", seen_retention},
    END,
};

#define SECURITY(member) WITHIN(root_keys, stream.security, member)

static const struct ear_option security[] = {
    {"protocol", EAR_CHOICE, SECURITY(protocol), "|PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL",
     "how the brokers are spoken to", NULL},
    {"mechanism", EAR_CHOICE, SECURITY(mechanism), "|PLAIN|SCRAM-SHA-256|SCRAM-SHA-512",
     "how a user signs in", NULL},
    {"user", EAR_STRING, SECURITY(user), NULL, "who signs in", NULL},
    {"password", EAR_STRING, SECURITY(password), NULL, "its password: ${file:NAME}", NULL},
    {"ca", EAR_STRING, SECURITY(ca), NULL,
     "PEM file of who signed the brokers' certificates; the system's without it", NULL},
    {"certificate", EAR_STRING, SECURITY(certificate), NULL,
     "PEM file of a certificate of one's own", NULL},
    {"key", EAR_STRING, SECURITY(key), NULL, "PEM file of its key", NULL},
    END,
};

static const struct ear_option stream[] = {
    {"url", EAR_STRING, WITHIN(root_keys, stream, url), NULL,
     "where the log lies: local:PATH or kafka://HOST:PORT[,…]/PREFIX; the default is "
     "local:DATA/log",
     NULL},
    {"size", EAR_SIZE, WITHIN(root_keys, stream, size), "8GiB [4MiB..16TiB]",
     "the log's fixed size, such as 8GiB; at 90 % of it collectors pause", NULL},
    {"compact_lag", EAR_DURATION, WITHIN(root_keys, stream, compact_lag), "12h [0..24h]",
     "how long a superseded message stays readable, such as 12h", NULL},
    {"instance", EAR_STRING, WITHIN(root_keys, stream, instance), NULL,
     "Kafka: the name of this machine among all that run Earshot; made from the host and the data "
     "folder",
     NULL},
    {"security", EAR_SECTION, WITHIN(root_keys, stream, security), NULL,
     "Kafka: how to sign in, and by which certificates", security},
    {"topics", EAR_SECTION, WITHIN(root_keys, stream, topics), NULL,
     "partitions, and what each topic keeps", topics},
    {"librdkafka", EAR_TREE, WITHIN(root_keys, stream, librdkafka), NULL,
     "Kafka: settings of librdkafka's that are passed through, such as {linger.ms: 50}", NULL},
    END,
};

static const struct ear_option metrics[] = {
    {"listen", EAR_STRING, 0, NULL,
     "ADDRESS:PORT for /metrics, /livez and /readyz, such as 127.0.0.1:9470", NULL},
    END,
};

static const struct ear_option ingest[] = {
    {"listen", EAR_STRING, WITHIN(root_keys, ingest, listen), "!",
     "ADDRESS:PORT that entries are sent to and forms are shown at, such as 127.0.0.1:8480", NULL},
    {"token", EAR_STRING, WITHIN(root_keys, ingest, token), NULL,
     "what senders show as `Authorization: Bearer TOKEN`: ${file:NAME}", NULL},
    {"proxies", EAR_STRINGS, WITHIN(root_keys, ingest, proxies), NULL,
     "addresses of one's own proxies, whose X-Forwarded-For is believed", NULL},
    {"forms", EAR_TREE, WITHIN(root_keys, ingest, forms), NULL,
     "small forms for strangers at /form/NAME: {ideas: {source: ideas}}", NULL},
    END,
};

static const struct ear_option network[] = {
    {"allow", EAR_STRINGS, 0, NULL,
     "addresses or ranges inside one's own network that collectors may reach, such as 10.0.0.5",
     NULL},
    END,
};

static const struct ear_option accounts[] = {
    {"ours", EAR_STRINGS, WITHIN(root_keys, accounts, ours), NULL,
     "our own accounts: never counted as customers; such as reddit:AcmeHelp", NULL},
    {"staff", EAR_STRINGS, WITHIN(root_keys, accounts, staff), NULL,
     "accounts of people who work for us; such as discourse:kim", NULL},
    {"same", EAR_TREE, WITHIN(root_keys, accounts, same), NULL,
     "lists of accounts that are one person: [[\"reddit:jo\", \"@jo@mastodon.example\"]]", NULL},
    END,
};

static const struct ear_option authors[] = {
    {"names", EAR_BOOLEAN, 0, "false", "true or false: whether display names are kept", NULL},
    {"key", EAR_STRING, WITHIN(root_keys, authors, key), NULL,
     "${file:NAME}: the file of 32 bytes that pseudonyms are made with", NULL},
    END,
};

static const struct ear_option store[] = {
    {"horizon", EAR_DURATION, 0, "400d [1d..36500d]",
     "how far back posts may change, such as 400d; older ones are frozen", NULL},
    END,
};

const struct ear_option settings_root_options[] = {
    {"earshot", EAR_INTEGER, offsetof(struct root_keys, earshot), "! [1..1]",
     "the version of this format; write 'earshot: 1' as the first line", NULL},
    {"include", EAR_STRINGS, offsetof(struct root_keys, include), NULL,
     "more files, such as [brands.yaml, sources.d/*.yaml, definitions/*.yaml]", NULL},
    {"data", EAR_STRING, offsetof(struct root_keys, data), "earshot.data",
     "the folder of the log, the store and the locks", NULL},
    {"brands", EAR_TREE, offsetof(struct root_keys, brands), NULL,
     "what to listen for: {Acme: [acme, acmephone]}", NULL},
    {"competitors", EAR_TREE, offsetof(struct root_keys, competitors), NULL,
     "whom to compare with: {Globex: [globex]}", NULL},
    {"sources", EAR_TREE, offsetof(struct root_keys, sources), NULL,
     "where to listen: a list of {name: …, use: feed, url: …}", NULL},
    {"processors", EAR_TREE, offsetof(struct root_keys, processors), NULL,
     "chains of stages: a list of {name: main, from: posts, to: insights, stages: […]}", NULL},
    {"sinks", EAR_TREE, offsetof(struct root_keys, sinks), NULL,
     "where insights go: a list of {store: …} and {trends: …}", NULL},
    SECTION("stream", struct root_keys, stream, stream, "the log"),
    SECTION("metrics", struct root_keys, metrics, metrics, "health and metrics over HTTP"),
    SECTION("ingest", struct root_keys, ingest, ingest, "entries that are sent to us over HTTP"),
    SECTION("network", struct root_keys, network, network, "what collectors may reach"),
    {"timezone", EAR_STRING, offsetof(struct root_keys, timezone), "UTC",
     "the zone of days and weekdays, such as Europe/Berlin", NULL},
    SECTION("accounts", struct root_keys, accounts, accounts, "who is who"),
    SECTION("authors", struct root_keys, authors, authors, "how people are named"),
    SECTION("store", struct root_keys, store, store, "the store"),
    UNBUILT_SECTION("alerts", "alerts", alerts),
    UNBUILT_SECTION("dashboard", "the dashboard", dashboard),
    UNBUILT_SECTION("business_hours", "business hours (the recovery clock)", business_hours),
    UNBUILT_SECTION("smtp", "sending mail", smtp),
    END,
};

const struct ear_option settings_included_options[] = {
    {"earshot", EAR_INTEGER, offsetof(struct included_keys, earshot), "1 [1..1]",
     "the version of this format: 1", NULL},
    {"include", EAR_STRINGS, offsetof(struct included_keys, include), NULL, "as in the main file",
     NULL},
    {"brands", EAR_TREE, offsetof(struct included_keys, brands), NULL, "as in the main file", NULL},
    {"competitors", EAR_TREE, offsetof(struct included_keys, competitors), NULL,
     "as in the main file", NULL},
    {"sources", EAR_TREE, offsetof(struct included_keys, sources), NULL, "as in the main file",
     NULL},
    UNBUILT_SECTION("alerts", "alerts", alerts),
    END,
};

/* --- one source, one processor --- */

static const struct ear_option threshold[] = {
    {"wish", EAR_NUMBER, WITHIN(source_keys, threshold, wish), "-1 [0..1]",
     "a probability from 0 to 1", NULL},
    {"complaint", EAR_NUMBER, WITHIN(source_keys, threshold, complaint), "-1 [0..1]",
     "a probability from 0 to 1", NULL},
    {"praise", EAR_NUMBER, WITHIN(source_keys, threshold, praise), "-1 [0..1]",
     "a probability from 0 to 1", NULL},
    END,
};

const struct ear_option settings_source_options[] = {
    {"name", EAR_STRING, offsetof(struct source_keys, name), "!",
     "what it is called, such as our-blog; never change it later: ids hang on it", NULL},
    {"use", EAR_STRING, offsetof(struct source_keys, use), "!",
     "what reads it: feed, file, or a platform's definition such as discourse; `earshot source "
     "list` shows them",
     NULL},
    {"channel", EAR_CHOICE, offsetof(struct source_keys, channel),
     "|forum|blog|social|video|review|survey|frontline|helpdesk|ideas|crowd|internal",
     "what kind of place it is", NULL},
    {"about", EAR_STRING, offsetof(struct source_keys, about), NULL,
     "the brand that its posts are about though they do not name it", NULL},
    {"lang", EAR_STRING, offsetof(struct source_keys, lang), NULL,
     "the language most of it is in, such as en", NULL},
    {"audience", EAR_CHOICE, offsetof(struct source_keys, audience), "public|internal",
     "internal: one's own staff, kept apart", NULL},
    {"zone", EAR_STRING, offsetof(struct source_keys, zone), NULL,
     "the time zone of times without one, such as Europe/Berlin", NULL},
    {"tags", EAR_STRINGS, offsetof(struct source_keys, tags), NULL,
     "words of one's own to filter by", NULL},
    {"every", EAR_DURATION, offsetof(struct source_keys, every), "10m [1s..365d]",
     "how often it is asked, such as 5m", NULL},
    {"fresh", EAR_DURATION, offsetof(struct source_keys, fresh), "0 [0..365d]",
     "how old a post may be when it arrives: it is asked at least that often, within half and "
     "twice "
     "`every`; 0: nothing beyond that",
     NULL},
    {"history", EAR_STRING, offsetof(struct source_keys, history), "30d",
     "how far back on first sight: a duration such as 90d, all, or none", NULL},
    SECTION("threshold", struct source_keys, threshold, threshold,
            "from which probability a label counts"),
    END,
};

const char *const settings_source_keys[] = {"name",     "use",       "channel", "about", "lang",
                                            "audience", "zone",      "tags",    "every", "fresh",
                                            "history",  "threshold", NULL};

static const struct ear_option batch[] = {
    {"messages", EAR_INTEGER, WITHIN(processor_keys, batch, messages), "500 [1..10000]",
     "most messages of a batch", NULL},
    {"wait", EAR_DURATION, WITHIN(processor_keys, batch, wait), "100ms [0..10s]",
     "how long a batch is waited for", NULL},
    END,
};

const struct ear_option settings_processor_options[] = {
    {"name", EAR_STRING, offsetof(struct processor_keys, name), "!",
     "what it is called; its position in the log hangs on it", NULL},
    {"from", EAR_STRING, offsetof(struct processor_keys, from), "posts", "the topic it reads",
     NULL},
    {"to", EAR_STRING, offsetof(struct processor_keys, to), "insights", "the topic it writes",
     NULL},
    {"stages", EAR_TREE, offsetof(struct processor_keys, stages), NULL,
     "a list of stages: [normalise, language, classify, signals, brands]", NULL},
    SECTION("batch", struct processor_keys, batch, batch, "how much is taken at once"),
    END,
};
