/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form for strangers. No script, no cookie, nothing that a page of somebody else could use in a
 * visitor's name; still a browser's post is taken only from our own page, or from sites that are
 * named. (Origin is `null` where a page forbids the referrer, so ours says same-origin.)
 *
 * A field that people do not see catches robots: who fills it in is thanked, and nothing is kept.
 */
#include "collectors/ingest/ingest_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "common/hash.h"
#include "common/json/json.h"
#include "common/settings/settings.h"

/* What the line that names origins holds beside them is shorter than 160 bytes. */
enum { TEXT_MAX = 20000, STARS = 5, ORIGINS_SIZE = HTTP_LINE_SIZE - 160 };

static const struct ear_option options[] = {
    {"source", EAR_STRING, offsetof(struct form_values, source), "!",
     "the source of `use: ingest` that its entries belong to", NULL},
    {"title", EAR_STRING, offsetof(struct form_values, title), "What should we do better?",
     "the heading", NULL},
    {"text", EAR_STRING, offsetof(struct form_values, text), "Your idea",
     "what stands above the large field", NULL},
    {"author", EAR_STRING, offsetof(struct form_values, author), NULL,
     "what stands above the field for a name; without it nobody is asked", NULL},
    {"rating", EAR_STRING, offsetof(struct form_values, rating), NULL,
     "what stands above one to five stars; without it nobody is asked", NULL},
    {"button", EAR_STRING, offsetof(struct form_values, button), "Send", "on the button", NULL},
    {"thanks", EAR_STRING, offsetof(struct form_values, thanks), "Thank you. We have it.",
     "what is said afterwards", NULL},
    {"lang", EAR_STRING, offsetof(struct form_values, lang), "en", "the language of these words",
     NULL},
    {"origins", EAR_STRINGS, offsetof(struct form_values, origins), NULL,
     "sites that may frame the form or hold one of their own, such as https://www.acme.example",
     NULL},
    {"per_minute", EAR_INTEGER, offsetof(struct form_values, per_minute), "5 [1..10000]",
     "most entries a minute from one address", NULL},
    {0},
};

/* --- the configuration --- */

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length <= INGEST_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               length;
}

/* scheme://host[:port], and nothing behind it */
static bool is_origin(const char *text)
{
    const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : "";

    return host[0] != '\0' && host[strcspn(host, "/?#;, '\"\\\t")] == '\0';
}

/* A browser is told all of them in one line. */
static void check_origins(struct settings *settings, const struct ear_strings *origins,
                          const struct config_node *node)
{
    size_t length = 0;

    for (size_t i = 0; i < origins->count; i++) {
        length += strlen(origins->items[i]) + 1;
        if (!is_origin(origins->items[i])) {
            config_report(settings->config, CONFIG_ERROR, node,
                          "'%.80s' is no origin; write scheme and host alone, such as "
                          "https://www.acme.example",
                          origins->items[i]);
        }
    }
    if (length >= ORIGINS_SIZE) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "these origins have %zu bytes together, and a browser is told at most %d; "
                      "name fewer, or make a second form for the others",
                      length, ORIGINS_SIZE - 1);
    }
}

static void check_form(struct settings *settings, const struct form *form,
                       const struct config_node *node)
{
    const struct form_values *values = &form->values;
    bool known = values->source == NULL;

    for (size_t i = 0; i < settings->source_count; i++) {
        known = known || (strcmp(settings->sources[i].name, values->source) == 0 &&
                          strcmp(settings->sources[i].use, ingest_reader.name) == 0);
    }
    if (!known) {
        config_report(settings->config, CONFIG_ERROR, config_get(node, "source"),
                      "no source of `use: ingest` is called '%.80s'; add {name: %.80s, use: "
                      "ingest} to sources",
                      values->source, values->source);
    }
    check_origins(settings, &values->origins, config_get(node, "origins"));
}

int forms_read(struct form **out, size_t *count, struct settings *settings, struct inlet *inlets,
               size_t inlet_count, struct ear_error *err)
{
    const struct config_node *node = settings->ingest_forms;
    struct form *forms = calloc(config_count(node) + 1, sizeof *forms);

    *count = 0;
    if (forms == NULL) {
        return ear_fail_memory(err, "the forms");
    }
    *out = forms;
    if (node != NULL && !config_is_mapping(node)) {
        config_report(settings->config, CONFIG_ERROR, node,
                      "takes forms by name, such as {ideas: {source: ideas}}");
        return 0;
    }
    for (size_t i = 0; i < config_count(node); i++) {
        struct form *form = &forms[i];
        char what[100];

        form->name = config_key_at(node, i);
        if (form->name == NULL || !is_name(form->name)) {
            config_report(settings->config, CONFIG_ERROR, config_at(node, i),
                          "a form's name is part of its address: letters, digits, - and _");
            continue;
        }
        snprintf(what, sizeof what, "form '%.60s'", form->name);
        config_fill(settings->config, config_at(node, i), options, NULL, what, &form->values);
        check_form(settings, form, config_at(node, i));
        for (size_t j = 0; j < inlet_count; j++) {
            if (form->values.source != NULL &&
                strcmp(inlets[j].source->name, form->values.source) == 0) {
                form->inlet = &inlets[j];
            }
        }
        *count = i + 1;
    }
    return 0;
}

bool form_allows(const struct form *form, const char *origin, const char *site, const char *host)
{
    const char *own = origin == NULL ? NULL : strstr(origin, "://");

    if (origin == NULL) {
        return site == NULL || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    }
    for (size_t i = 0; i < form->values.origins.count; i++) {
        if (strcmp(form->values.origins.items[i], origin) == 0) {
            return true;
        }
    }
    return own != NULL && host != NULL && strcmp(own + 3, host) == 0;
}

/* --- pages --- */

static void write_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const char *entity = *text == '&'    ? "&amp;"
                             : *text == '<'  ? "&lt;"
                             : *text == '>'  ? "&gt;"
                             : *text == '"'  ? "&quot;"
                             : *text == '\'' ? "&#39;"
                                             : NULL;

        if (entity != NULL) {
            fputs(entity, out);
        } else {
            fputc(*text, out);
        }
    }
}

static void write_element(FILE *out, const char *before, const char *text, const char *after)
{
    fputs(before, out);
    write_escaped(out, text);
    fputs(after, out);
}

static void write_head(FILE *out, const struct form *form, const char *style)
{
    write_element(out, "<!doctype html>\n<html lang=\"", form->values.lang,
                  "\"><head><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    write_element(out, "<title>", form->values.title, "</title>");
    write_element(out, "<link rel=\"stylesheet\" href=\"", style, "\"></head>\n<body><main>");
    write_element(out, "<h1>", form->values.title, "</h1>\n");
}

static void write_stars(FILE *out, const char *label, int chosen)
{
    write_element(out, "<fieldset><legend>", label, "</legend>");
    for (int i = 1; i <= STARS; i++) {
        fprintf(out,
                "<label class=\"star\"><input type=\"radio\" name=\"rating\" value=\"%d\"%s> %d"
                "</label>",
                i, i == chosen ? " checked" : "", i);
    }
    fputs("</fieldset>\n", out);
}

/* Sites that are named may show the page inside their own. */
static void guard(const struct form *form, struct http_answer *answer)
{
    char ancestors[ORIGINS_SIZE] = "";
    size_t used = 0;

    for (size_t i = 0; i < form->values.origins.count; i++) {
        const char *origin = form->values.origins.items[i];

        if (used + strlen(origin) + 1 < sizeof ancestors) { /* check_origins saw to it */
            used += (size_t)snprintf(ancestors + used, sizeof ancestors - used, " %s", origin);
        }
    }
    (void)http_answer_line(answer, "Content-Security-Policy",
                           "default-src 'none'; style-src 'self'; form-action 'self'; base-uri "
                           "'none'; frame-ancestors 'self'%s",
                           ancestors);
    (void)http_answer_line(answer, "Referrer-Policy", "same-origin");
}

static void finish(FILE *out, const struct form *form, struct http_answer *answer)
{
    bool failed = ferror(out) != 0;

    failed = fclose(out) != 0 || failed;
    if (failed) {
        free(answer->body);
        *answer = (struct http_answer){.status = 503};
        return;
    }
    answer->type = "text/html; charset=utf-8";
    guard(form, answer);
}

static void write_fields(FILE *out, const struct form *form, const struct form_entry *entry)
{
    write_element(out, "<p><label for=\"text\">", form->values.text, "</label>");
    fprintf(out, "<textarea id=\"text\" name=\"text\" rows=\"6\" maxlength=\"%d\"%s>\n", TEXT_MAX,
            form->values.rating == NULL ? " required" : "");
    write_element(out, "", entry->text == NULL ? "" : entry->text, "</textarea></p>\n");
    if (form->values.rating != NULL) {
        write_stars(out, form->values.rating, entry->stars);
    }
    if (form->values.author != NULL) {
        write_element(out, "<p><label for=\"author\">", form->values.author,
                      "</label><input id=\"author\" name=\"author\" maxlength=\"200\"");
        write_element(out, " value=\"", entry->author == NULL ? "" : entry->author, "\"></p>\n");
    }
}

/* The key that was hidden in the page before, or one of its own. */
static int key_for(char out[INGEST_KEY_SIZE], const struct form_entry *entry)
{
    struct ear_error err = {EAR_NONE, ""};

    if (entry->key[0] == '\0') {
        return body_make_key(out, &err);
    }
    memcpy(out, entry->key, INGEST_KEY_SIZE);
    return 0;
}

void form_show(const struct form *form, const char *complaint, const struct form_entry *entry,
               struct http_answer *answer)
{
    static const struct form_entry nothing = {0};
    FILE *out = open_memstream(&answer->body, &answer->body_length);
    char key[INGEST_KEY_SIZE];

    entry = entry == NULL ? &nothing : entry;
    if (out == NULL || key_for(key, entry) != 0) {
        if (out != NULL) {
            fclose(out);
            free(answer->body);
        }
        *answer = (struct http_answer){.status = 503};
        return;
    }
    write_head(out, form, "../form.css");
    if (complaint != NULL) {
        write_element(out, "<p role=\"alert\">", complaint, "</p>\n");
    }
    write_element(out, "<form method=\"post\" action=\"", form->name,
                  "\" accept-charset=\"utf-8\">\n");
    write_fields(out, form, entry);
    fprintf(out,
            "<p class=\"away\" aria-hidden=\"true\"><label for=\"website\">Leave this empty</label>"
            "<input id=\"website\" name=\"website\" tabindex=\"-1\" autocomplete=\"off\"></p>\n"
            "<input type=\"hidden\" name=\"key\" value=\"%s\">\n",
            key);
    write_element(out, "<p><button>", form->values.button,
                  "</button></p>\n</form></main></body></html>\n");
    finish(out, form, answer);
}

void form_thank(const struct form *form, struct http_answer *answer)
{
    FILE *out = open_memstream(&answer->body, &answer->body_length);

    if (out == NULL) {
        answer->status = 503;
        return;
    }
    write_head(out, form, "../../form.css");
    write_element(out, "<p role=\"status\">", form->values.thanks, "</p></main></body></html>\n");
    finish(out, form, answer);
}

void form_style(struct http_answer *answer)
{
    static const char style[] =
        "body{font:1rem/1.5 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}\n"
        "main{max-width:36rem;margin:0 auto;padding:1rem}\n"
        "h1{font-size:1.4rem}label,legend{display:block;font-weight:600}\n"
        "textarea,input:not([type=radio]){width:100%;box-sizing:border-box;font:inherit;padding:."
        "5rem;"
        "border:1px solid #767676;border-radius:4px;color:inherit;background:inherit}\n"
        "fieldset{border:0;margin:0;padding:0}.star{display:inline-block;margin-right:1rem;"
        "font-weight:400}\n"
        "button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:4px;background:#0b57a4;"
        "color:#fff}\n"
        ":focus-visible{outline:3px solid #f2a900;outline-offset:2px}\n"
        "[role=alert]{color:#a40000}.away{position:absolute;left:-10000px}\n"
        "@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}"
        "[role=alert]{color:#ff9a9a}button{background:#7ab8f5;color:#111}}\n";

    answer->type = "text/css; charset=utf-8";
    answer->body = strdup(style);
    answer->body_length = answer->body != NULL ? sizeof style - 1 : 0;
}

/* --- what was filled in --- */

static const char *text_of(const struct json_node *root, const char *name)
{
    const char *text = json_string(json_get(root, name), NULL);

    return text != NULL && text[strspn(text, " \t\r\n")] != '\0' ? text : NULL;
}

static void copy_key(char out[INGEST_KEY_SIZE], const char *key)
{
    if (key != NULL && strlen(key) == INGEST_KEY_SIZE - 1 &&
        strspn(key, "0123456789abcdef") == INGEST_KEY_SIZE - 1) {
        memcpy(out, key, INGEST_KEY_SIZE);
    }
}

static int read_entry(struct form_entry *out, const struct json_node *root, struct ear_error *err)
{
    const char *text = text_of(root, "text");
    const char *author = text_of(root, "author");
    const char *stars = text_of(root, "rating");

    out->text = text == NULL ? NULL : strdup(text);
    out->author = author == NULL ? NULL : strdup(author);
    if ((out->text == NULL) != (text == NULL) || (out->author == NULL) != (author == NULL)) {
        return ear_fail_memory(err, "what a form holds");
    }
    if (stars != NULL && strlen(stars) == 1 && stars[0] >= '1' && stars[0] <= '0' + STARS) {
        out->stars = stars[0] - '0';
    }
    out->verdict = text_of(root, "website") != NULL ? FORM_ROBOT
                   : text == NULL && stars == NULL  ? FORM_EMPTY
                                                    : FORM_GOOD;
    copy_key(out->key, text_of(root, "key"));
    return 0;
}

static void write_entry(const struct form_entry *entry, struct json_writer *writer)
{
    char id[65];

    json_writer_reset(writer);
    json_write_object(writer);
    if (entry->key[0] != '\0') {
        json_member_string(writer, "id", sha256_format(id, entry->key, strlen(entry->key)));
    }
    json_member_string(writer, "text", entry->text);
    json_member_string(writer, "author", entry->author);
    if (entry->stars > 0) {
        json_write_key(writer, "rating");
        json_write_number(writer, entry->stars / (double)STARS, 2);
    }
    json_write_object_end(writer);
}

int form_read(struct form_entry *out, const char *body, size_t length, struct json_writer *writer,
              struct ear_error *err)
{
    struct json *json = NULL;
    const struct json_node *root = NULL;
    const char *text = NULL;
    size_t size = 0;
    int result = -1;

    *out = (struct form_entry){0};
    json_writer_reset(writer);
    json_write_object(writer);
    if (json_new(&json, err) != 0 || body_write_fields(writer, body, length, err) != 0) {
        goto done;
    }
    json_write_object_end(writer);
    text = json_writer_text(writer, &size, err);
    root = text == NULL ? NULL : json_read(json, text, size, &json_limits_default, err);
    if (root == NULL || read_entry(out, root, err) != 0) {
        goto done;
    }
    write_entry(out, writer);
    result = 0;

done:
    json_free(json);
    return result;
}

void form_entry_clear(struct form_entry *entry)
{
    free(entry->text);
    free(entry->author);
    *entry = (struct form_entry){0};
}
