/* SPDX-License-Identifier: Apache-2.0 */
/* The reference page of a platform, in Markdown: what its definition says, for who fills a source
 * in. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "collectors/definition/definition_internal.h"
#include "common/instant.h"

/* --- an example that check accepts --- */

/* Which parameters stand in it: what is required, and what the first list hangs on. */
static bool is_shown(const struct definition *definition, size_t param)
{
    bool wanted = definition->params[param].required;

    for (size_t i = 0; i < definition->list_count; i++) {
        if (definition->lists[i].needs < 0) {
            return wanted;
        }
    }
    return wanted || definition->lists[0].needs == (int)param;
}

static void print_upper(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        (void)fputc(*text == '-' ? '_' : toupper((unsigned char)*text), out);
    }
}

static void print_value(const struct definition *definition, const struct parameter *param,
                        FILE *out)
{
    if (param->secret) {
        (void)fputs("\"${", out);
        print_upper(out, definition->platform);
        (void)fputc('_', out);
        print_upper(out, param->name);
        (void)fputs(":-…}\"", out);
    } else if (param->example != NULL) {
        (void)fprintf(out, "\"%s\"", param->example);
    } else if (param->address) {
        (void)fprintf(out, "\"https://%s.example\"", definition->platform);
    } else {
        (void)fprintf(out, "\"…\"");
    }
}

static void print_example(const struct definition *definition, FILE *out)
{
    (void)fprintf(out,
                  "## In a configuration\n\n```yaml\nearshot: 1\nsources:\n"
                  "  - name: my-%s\n    use: %s\n",
                  definition->platform, definition->platform);
    for (size_t i = 0; i < definition->param_count; i++) {
        if (is_shown(definition, i)) {
            (void)fprintf(out, "    %s: ", definition->params[i].name);
            print_value(definition, &definition->params[i], out);
            (void)fputc('\n', out);
        }
    }
    (void)fputs("```\n\n", out);
}

/* --- its parameters --- */

static void print_needed(const struct parameter *param, FILE *out)
{
    if (param->required) {
        (void)fputs("required", out);
    } else if (param->fallback != NULL) {
        (void)fprintf(out, "`%s`", param->fallback);
    } else {
        (void)fputs("none", out);
    }
    if (param->secret) {
        (void)fputs(", secret", out);
    }
}

static void print_params(const struct definition *definition, FILE *out)
{
    if (definition->param_count == 0) {
        return;
    }
    (void)fputs("## Its keys\n\n| key | default | meaning |\n| --- | --- | --- |\n", out);
    for (size_t i = 0; i < definition->param_count; i++) {
        const struct parameter *param = &definition->params[i];

        (void)fprintf(out, "| %s | ", param->name);
        print_needed(param, out);
        (void)fprintf(out, " | %s |\n", param->help == NULL ? "" : param->help);
    }
    (void)fputs("\nAnd those of every source: `earshot example first`.\n\n", out);
}

/* --- what it collects --- */

static const char *const field_names[FIELD_COUNT] = {
    "id",        "host",      "url",     "title",  "text",   "created_at",
    "edited_at", "author id", "author",  "lang",   "thread", "parent",
    "rating",    "likes",     "replies", "shares", "views",  "channel"};

static void print_fields(const struct map *map, FILE *out)
{
    const char *between = "fields: ";

    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (map->fields[i] != NULL) {
            (void)fprintf(out, "%s%s", between, field_names[i]);
            between = ", ";
        }
    }
    for (size_t i = 0; i < map->extra_count; i++) {
        (void)fprintf(out, "%s%s", between, map->extra[i].name);
        between = ", ";
    }
}

static void print_cursor(const struct cursor *cursor, FILE *out)
{
    const char *by = cursor->by_count > 0 ? cursor->by[0].text : "";
    char text[DURATION_SIZE];

    if (!cursor->given) {
        (void)fputs("read whole with every poll", out);
    } else if (cursor->by_link) {
        (void)fprintf(out, "from where it was, by the link `%s`", cursor->rel);
    } else if (cursor->order == ORDER_OLDEST) {
        (void)fprintf(out, "from the last one known on, by `%s`", by);
    } else {
        (void)fprintf(out, "newest first, back to the last one known, by `%s`", by);
    }
    if (cursor->overlap_us > 0) {
        (void)fprintf(out, ", %s further", duration_format(text, cursor->overlap_us));
    } else if (cursor->overlap_count > 0) {
        (void)fprintf(out, ", %lld records further", (long long)cursor->overlap_count);
    }
}

static bool asks_where_changed(const struct child *child)
{
    for (size_t i = 0; i < child->when.count; i++) {
        if (child->when.items[i].changed) {
            return true;
        }
    }
    return false;
}

/* What is seen of edits and deletions of what hangs on records. */
static void print_seen(const struct child *child, int depth, FILE *out)
{
    (void)fprintf(out, "%*s  - edits: %s; deletions: %s\n", depth * 2, "",
                  asks_where_changed(child)
                      ? "seen when what it hangs on changes (`changed`), not while that stays"
                      : "seen when what it hangs on is read again",
                  child->gone                ? "asked for, of what is no longer shown then"
                  : child->deleted.count > 0 ? "where the answer shows them"
                                             : "not told");
}

/* `above`: where the records stand that they hang on. */
static void print_children(const struct child *children, size_t count, const char *above, int depth,
                           FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct child *child = &children[i];

        (void)fprintf(out, "%*s- for %s `%s`: `%s %s`\n", depth * 2, "",
                      child->batch > 1 ? "many of" : "each of",
                      child->each.text != NULL ? child->each.text : above, child->request.method,
                      template_text(child->request.url));
        print_seen(child, depth, out);
        print_children(child->children, child->child_count,
                       child->record_count > 0 ? child->records[0].text : above, depth + 1, out);
    }
}

static void print_deletions(const struct list *list, FILE *out)
{
    (void)fputs(list->map.fields[FIELD_EDITED_AT] != NULL || list->revisit_count > 0
                    ? "  - edits: followed"
                    : "  - edits: as far as it reads back",
                out);
    (void)fputs(list->gone.given          ? "; deletions: asked for\n"
                : list->deleted.count > 0 ? "; deletions: where the list shows them\n"
                                          : "; deletions: not told\n",
                out);
}

static void print_list(const struct definition *definition, const struct list *list, FILE *out)
{
    char window[DURATION_SIZE];
    char every[DURATION_SIZE];

    (void)fprintf(out, "- %s%s`%s %s`", list->name, list->name[0] == '\0' ? "" : ": ",
                  list->request.method, template_text(list->request.url));
    if (list->needs >= 0) {
        (void)fprintf(out, ", where `%s` is given", definition->params[list->needs].name);
    }
    (void)fputs("\n  - ", out);
    if (list->walks) {
        (void)fputs("id by id", out);
    } else {
        print_cursor(&list->cursor, out);
    }
    if (list->page.max > 0) {
        (void)fprintf(out, "; at most %lld pages", (long long)list->page.max);
    }
    (void)fputc('\n', out);
    for (size_t i = 0; i < list->revisit_count; i++) {
        (void)fprintf(out, "  - the last %s again every %s\n",
                      duration_format(window, list->revisits[i].window_us),
                      duration_format(every, list->revisits[i].every_us));
    }
    print_deletions(list, out);
    (void)fputs("  - ", out);
    print_fields(&list->map, out);
    (void)fputc('\n', out);
    print_children(list->children, list->child_count,
                   list->record_count > 0 ? list->records[0].text : "", 1, out);
}

/* --- limits, errors --- */

static void print_limits(const struct definition *definition, FILE *out)
{
    char per[DURATION_SIZE];

    (void)fputs("\n## What the platform allows\n\n", out);
    if (definition->limit_count == 0) {
        (void)fputs(
            "- it names no limit; when it asks to wait (429, Retry-After), that is heeded\n", out);
    }
    for (size_t i = 0; i < definition->limit_count; i++) {
        const struct limit *limit = &definition->limits[i];

        if (limit->requests > 0) {
            (void)fprintf(out, "- %lld requests in %s%s%s\n", (long long)limit->requests,
                          duration_format(per, limit->per_us),
                          limit->zone == NULL ? "" : ", a day of ",
                          limit->zone == NULL ? "" : limit->zone);
        }
        if (limit->remaining != NULL || limit->reset != NULL || limit->backoff != NULL) {
            (void)fputs("- what its answers say of it is heeded\n", out);
        }
    }
}

static void print_errors(const struct definition *definition, FILE *out)
{
    const char *heading = "\n## What it may say\n\n";

    for (size_t i = 0; i < definition->error_count; i++) {
        const struct error_rule *rule = &definition->errors[i];

        if (rule->say != NULL) {
            (void)fputs(heading, out);
            (void)fprintf(out, "- %s\n", template_text(rule->say));
            heading = "";
        }
    }
}

void definition_page(const struct definition *definition, bool own, FILE *out)
{
    (void)fprintf(out, "# %s\n\n%s. %s; its posts are of the channel %s.\n\n", definition->platform,
                  definition->about, own ? "One of your own" : "Built in", definition->channel);
    print_example(definition, out);
    print_params(definition, out);
    (void)fputs("## What it asks for\n\n", out);
    for (size_t i = 0; i < definition->list_count; i++) {
        print_list(definition, &definition->lists[i], out);
    }
    print_limits(definition, out);
    print_errors(definition, out);
}
