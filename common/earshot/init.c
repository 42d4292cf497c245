/* SPDX-License-Identifier: Apache-2.0 */

/* `earshot init`: a few questions, or options; writes earshot.yaml and says the next command. */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/earshot/earshot_internal.h"

const struct ear_option init_options[] = {
    {"yes,y", EAR_BOOLEAN, offsetof(struct init_values, yes), "false",
     "ask nothing: what the other options do not say stays as a comment", NULL},
    {"force", EAR_BOOLEAN, offsetof(struct init_values, force), "false",
     "write over an earshot.yaml that is there", NULL},
    {"brand", EAR_STRING, offsetof(struct init_values, brand), NULL, "your brand", NULL},
    {"word", EAR_STRINGS, offsetof(struct init_values, words), NULL,
     "another word that names it; again for each", NULL},
    {"competitor", EAR_STRINGS, offsetof(struct init_values, competitors), NULL,
     "whom to watch too; again for each", NULL},
    {"feed", EAR_STRINGS, offsetof(struct init_values, feeds), NULL,
     "the address of a feed (RSS, Atom, JSON Feed); again for each", NULL},
    {"file", EAR_STRINGS, offsetof(struct init_values, files), NULL,
     "a CSV or NDJSON file, or a pattern such as surveys/*.csv; again for each", NULL},
    {"timezone", EAR_STRING, offsetof(struct init_values, timezone), NULL,
     "of days and weekdays, such as Europe/Berlin (else the machine's)", NULL},
    {NULL, EAR_STRING, 0, NULL, NULL, NULL},
};

enum { ANSWER_MAX = 1000, ITEMS_MAX = 50 };

/* Answers; what was asked lies in `answers`, what was given by option is borrowed. */
struct plan {
    char answers[5][ANSWER_MAX];
    size_t answered;
    const char *brand;
    const char *words[ITEMS_MAX], *competitors[ITEMS_MAX], *feeds[ITEMS_MAX], *files[ITEMS_MAX];
    size_t word_count, competitor_count, feed_count, file_count;
    char timezone[128];
};

/* --- questions --- */

static char *trim(char *text)
{
    size_t length = strlen(text);

    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        text[--length] = '\0';
    }
    while (isspace((unsigned char)*text)) {
        text++;
    }
    return text;
}

/* Asks on stderr; NULL: nothing was answered. */
static char *ask(struct plan *plan, const char *question)
{
    char *line = plan->answers[plan->answered];
    char *text = NULL;

    fputs(question, stderr);
    if (fgets(line, ANSWER_MAX, stdin) == NULL) {
        return NULL;
    }
    text = trim(line);
    plan->answered++;
    return *text == '\0' ? NULL : text;
}

/* Takes "a, b, c" apart. */
static void split(const char *list[ITEMS_MAX], size_t *count, char *answer)
{
    char *rest = answer;

    for (char *item = strsep(&rest, ","); item != NULL && *count < ITEMS_MAX;
         item = strsep(&rest, ",")) {
        item = trim(item);
        if (*item != '\0') {
            list[(*count)++] = item;
        }
    }
}

static void ask_all(struct plan *plan)
{
    fputs("A few questions; Enter leaves one out.\n", stderr);
    if (plan->brand == NULL) {
        plan->brand = ask(plan, "Your brand? ");
    }
    if (plan->word_count == 0) {
        split(plan->words, &plan->word_count,
              ask(plan, "Other words that name it, with commas (a product, a spelling)? "));
    }
    if (plan->competitor_count == 0) {
        split(plan->competitors, &plan->competitor_count,
              ask(plan, "Also watch (rivals, with commas)? "));
    }
    fputs("Where do customers talk? Today Earshot reads feeds and files.\n", stderr);
    if (plan->feed_count == 0) {
        split(plan->feeds, &plan->feed_count,
              ask(plan, "Addresses of feeds, with commas (a blog's /feed, a forum's RSS)? "));
    }
    if (plan->file_count == 0) {
        split(plan->files, &plan->file_count,
              ask(plan, "Files, with commas (surveys/*.csv, notes.ndjson)? "));
    }
}

static size_t take(const char *list[ITEMS_MAX], const struct ear_strings *given)
{
    size_t count = given->count > ITEMS_MAX ? ITEMS_MAX : given->count;

    for (size_t i = 0; i < count; i++) {
        list[i] = given->items[i];
    }
    return count;
}

/* The machine's zone as /etc/localtime names it; else UTC. */
static void find_zone(struct plan *plan, const char *given)
{
    char target[PATH_MAX];
    ssize_t length = readlink("/etc/localtime", target, sizeof target - 1);
    const char *name = NULL;
    struct zone *zone = NULL;
    struct ear_error why = {EAR_NONE, ""};

    target[length < 0 ? 0 : length] = '\0';
    name = strstr(target, "zoneinfo/");
    snprintf(plan->timezone, sizeof plan->timezone, "%s",
             given != NULL  ? given
             : name != NULL ? name + strlen("zoneinfo/")
                            : "UTC");
    if (given == NULL && zone_open(&zone, plan->timezone, &why) != 0) {
        snprintf(plan->timezone, sizeof plan->timezone, "UTC");
        zone = NULL;
    }
    zone_close(zone);
}

/* --- writing --- */

/* A scalar in double quotes, as YAML has it. */
static void put_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        if (strncmp(text, "${", 2) == 0) {
            fputc('$', out);
        }
        if ((unsigned char)*text >= 0x20) {
            fputc(*text, out);
        }
    }
    fputc('"', out);
}

static void put_brands(FILE *out, const struct plan *plan)
{
    if (plan->brand == NULL) {
        fputs("# brands:\n#   Acme: [acme, acmephone, \"acme phone\"]\n", out);
    } else {
        fputs("brands:\n  ", out);
        put_quoted(out, plan->brand);
        fputs(": [", out);
        for (size_t i = 0; i < plan->word_count; i++) {
            fputs(i == 0 ? "" : ", ", out);
            put_quoted(out, plan->words[i]);
        }
        fputs("]      # its name counts anyhow; add products and spellings\n", out);
    }
    if (plan->competitor_count == 0) {
        fputs("# competitors:\n#   Globex: [globex]\n", out);
        return;
    }
    fputs("competitors:\n", out);
    for (size_t i = 0; i < plan->competitor_count; i++) {
        fputs("  ", out);
        put_quoted(out, plan->competitors[i]);
        fputs(": []\n", out);
    }
}

/* What of an address may be shown, a name being shown everywhere: no user, password or query. A
 * path is taken whole. */
static const char *shown_part(const char *from, size_t *length)
{
    const char *rest = strstr(from, "://");
    const char *at = NULL;

    if (rest == NULL) {
        *length = strlen(from);
        return from;
    }
    rest += 3;
    at = memrchr(rest, '@', strcspn(rest, "/?#"));
    rest = at == NULL ? rest : at + 1;
    *length = strcspn(rest, "?#");
    return rest;
}

/* A source's name from its address or path: letters, digits and hyphens, unlike those before. */
static void put_name(FILE *out, const char *from, char seen[][64], size_t *count)
{
    size_t length = 0;
    const char *part = shown_part(from, &length);
    char name[48] = "";
    size_t used = 0;

    for (const char *c = part; c < part + length && used < 40; c++) {
        if (isalnum((unsigned char)*c)) {
            name[used++] = (char)tolower((unsigned char)*c);
        } else if (used > 0 && name[used - 1] != '-') {
            name[used++] = '-';
        }
    }
    while (used > 0 && name[used - 1] == '-') {
        used--;
    }
    snprintf(name + used, sizeof name - used, "%s", used == 0 ? "source" : "");
    snprintf(seen[*count], 64, "%s", name);
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(seen[i], seen[*count]) == 0) {
            snprintf(seen[*count], 64, "%s-%zu", name, *count + 1);
        }
    }
    fputs(seen[*count], out);
    (*count)++;
}

static void put_sources(FILE *out, const struct plan *plan)
{
    char seen[2 * ITEMS_MAX][64];
    size_t count = 0;

    if (plan->feed_count + plan->file_count == 0) {
        fputs(
            "# sources:\n"
            "#   - {name: our-blog, use: feed, url: \"https://blog.example/feed.xml\", every: "
            "30m}\n"
            "#   - {name: survey, use: file, path: \"surveys/*.csv\", channel: survey, map: {text: "
            "Comment, created_at: Date}}\n",
            out);
        return;
    }
    fputs("sources:\n", out);
    for (size_t i = 0; i < plan->feed_count; i++) {
        fputs("  - {name: ", out);
        put_name(out, plan->feeds[i], seen, &count);
        fputs(", use: feed, url: ", out);
        put_quoted(out, plan->feeds[i]);
        fputs(", every: 30m}\n", out);
    }
    for (size_t i = 0; i < plan->file_count; i++) {
        fputs("  - {name: ", out);
        put_name(out, plan->files[i], seen, &count);
        fputs(", use: file, path: ", out);
        put_quoted(out, plan->files[i]);
        fputs(", channel: survey}\n", out);
    }
    if (plan->file_count > 0) {
        fputs("    # columns named like post fields (text, title, created_at, author, rating) are "
              "taken;\n    # others need map: {text: Comment, created_at: Date}\n",
              out);
    }
}

static int write_plan(const struct plan *plan, const char *path, bool force, struct ear_error *err)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
    int file = open(path, flags, 0600);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    bool good = false;

    if (out == NULL && errno == EEXIST) {
        return ear_fail(err, EAR_CONFIG, "%s is there already; edit it, or --force writes over it",
                        path);
    }
    if (out == NULL) {
        return ear_fail(err, EAR_CONFIG, "%s cannot be written: %s", path, strerrordesc_np(errno));
    }
    fputs(
        "# What Earshot listens to. `earshot check` names mistakes, `earshot example` shows more.\n"
        "earshot: 1\n",
        out);
    put_brands(out, plan);
    put_sources(out, plan);
    fprintf(out, "timezone: %s\n", plan->timezone);
    good = fflush(out) == 0 && ferror(out) == 0;
    good = fclose(out) == 0 && good;
    return good ? 0 : ear_fail(err, EAR_FATAL, "%s cannot be written; is the disk full?", path);
}

static int choose_path(const struct command_call *call, char path[PATH_MAX], struct ear_error *err)
{
    const char *dir = call->argument_count > 0 ? call->arguments[0] : "";

    if (strlen(dir) + sizeof "/earshot.yaml" > PATH_MAX) {
        return ear_fail(err, EAR_CONFIG, "the folder's path is too long");
    }
    if (dir[0] != '\0' && mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return ear_fail(err, EAR_CONFIG, "%s cannot be made: %s", dir, strerrordesc_np(errno));
    }
    snprintf(path, PATH_MAX, "%s%searshot.yaml", dir, dir[0] == '\0' ? "" : "/");
    if (access(path, F_OK) == 0 && !((const struct init_values *)call->options)->force) {
        return ear_fail(err, EAR_CONFIG, "%s is there already; edit it, or --force writes over it",
                        path);
    }
    return 0;
}

int command_init(const struct command_call *call, struct ear_error *err)
{
    const struct init_values *options = call->options;
    struct plan *plan = calloc(1, sizeof *plan);
    char path[PATH_MAX];
    int result = -1;

    if (plan == NULL) {
        return ear_fail_memory(err, "the answers");
    }
    if (choose_path(call, path, err) != 0) {
        goto done;
    }
    plan->brand = options->brand;
    plan->word_count = take(plan->words, &options->words);
    plan->competitor_count = take(plan->competitors, &options->competitors);
    plan->feed_count = take(plan->feeds, &options->feeds);
    plan->file_count = take(plan->files, &options->files);
    if (!options->yes && plan->brand == NULL && isatty(STDIN_FILENO) == 0) {
        result = command_misused(call, "nobody is there to answer; give --brand and --feed or "
                                       "--file, or --yes for a file to fill in");
        goto done;
    }
    if (!options->yes && isatty(STDIN_FILENO) == 1) {
        ask_all(plan);
    }
    find_zone(plan, options->timezone);
    if (write_plan(plan, path, options->force, err) == 0) {
        fprintf(stderr, "✓ wrote %s   next: %s%s%searshot check\n", path,
                call->argument_count > 0 ? "cd " : "",
                call->argument_count > 0 ? call->arguments[0] : "",
                call->argument_count > 0 ? " && " : "");
        result = EXIT_DONE;
    }

done:
    free(plan);
    return result;
}
