/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ${VAR}, ${VAR:-default} and ${file:NAME} in scalars. Runs after parsing, on one scalar at a time,
 * so that a value never adds structure; its result is not looked at again. $${ stands for a literal
 * ${. What is not there becomes one finding at its place, and the node is marked: nothing else
 * complains about it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/config_internal.h"
#include "common/log.h"

enum { VALUE_MAX = 256 * 1024 };

struct value {
    char *text; /* [VALUE_MAX] */
    size_t length;
};

static bool put(struct value *value, const char *text, size_t length)
{
    if (length >= VALUE_MAX - value->length) {
        return false;
    }
    memcpy(value->text + value->length, text, length);
    value->length += length;
    return true;
}

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool letter = (text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z') ||
                      text[i] == '_';

        if (!letter && (i == 0 || text[i] < '0' || text[i] > '9')) {
            return false;
        }
    }
    return length > 0;
}

/* Puts the file's text, without white space at its end; only its owner and group may read it. */
static bool put_file(struct config *config, struct config_node *node, struct value *value,
                     const char *name)
{
    bool good = false;
    struct stat info;
    ssize_t length = -1;
    char *text = malloc(CONFIG_SECRET_MAX + 1);
    const char *path =
        config_print(config, "%s%s", name[0] == '/' ? "" : config_folder(config), name);
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (file < 0 || fstat(file, &info) != 0) {
        config_report(config, CONFIG_ERROR, node,
                      "${file:%s} cannot be read (%s); make that file, readable by you alone", name,
                      strerrordesc_np(errno));
        goto done;
    }
    if ((info.st_mode & S_IROTH) != 0) {
        config_report(config, CONFIG_ERROR, node,
                      "${file:%s} can be read by everybody on this machine; chmod 600 %s", name,
                      path);
        goto done;
    }
    length = text == NULL ? -1 : read(file, text, CONFIG_SECRET_MAX + 1);
    if (length < 0 || length > CONFIG_SECRET_MAX) {
        config_report(config, CONFIG_ERROR, node,
                      "${file:%s} cannot be read as a text of at most 64 KiB", name);
        goto done;
    }
    text[length] = '\0';
    length = (ssize_t)strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
    log_secret(node->path, text);
    good = put(value, text, (size_t)length);

done:
    if (file >= 0) {
        close(file);
    }
    free(text);
    return good;
}

/* Puts what stands between ${ and }. */
static bool put_reference(struct config *config, struct config_node *node, struct value *value,
                          const char *inside, size_t length)
{
    const char *fallback = memmem(inside, length, ":-", 2);
    size_t name_length = fallback == NULL ? length : (size_t)(fallback - inside);
    const char *name = config_copy(config, inside, name_length);
    const char *found = NULL;

    if (name == NULL) {
        return false;
    }
    if (length > 5 && strncmp(inside, "file:", 5) == 0) {
        name = config_copy(config, inside + 5, length - 5);
        return name != NULL && put_file(config, node, value, name);
    }
    if (!is_name(name, name_length)) {
        config_report(config, CONFIG_ERROR, node,
                      "'${%s}' names no variable; write ${NAME}, ${NAME:-default} or ${file:NAME}, "
                      "or $${ for the text itself",
                      name);
        return false;
    }
    found = secure_getenv(name);
    if (found != NULL && (found[0] != '\0' || fallback == NULL)) {
        return put(value, found, strlen(found));
    }
    if (fallback != NULL) {
        return put(value, fallback + 2, length - name_length - 2);
    }
    config_report(config, CONFIG_ERROR, node,
                  "${%s} is not set in the environment; export %s=…, or write ${%s:-default}", name,
                  name, name);
    return false;
}

static bool fill(struct config *config, struct config_node *node, struct value *value)
{
    const char *at = node->raw;

    while (*at != '\0') {
        const char *next = strstr(at, "${");
        const char *end = next == NULL ? NULL : strchr(next, '}');

        if (next == NULL) {
            return put(value, at, strlen(at));
        }
        if (next > at && next[-1] == '$') {
            if (!put(value, at, (size_t)(next - at) - 1) || !put(value, "${", 2)) {
                return false;
            }
            at = next + 2;
            continue;
        }
        if (end == NULL) {
            config_report(config, CONFIG_ERROR, node,
                          "'${' is never closed; write ${NAME}, or $${ for the text itself");
            return false;
        }
        if (!put(value, at, (size_t)(next - at)) ||
            !put_reference(config, node, value, next + 2, (size_t)(end - next) - 2)) {
            return false;
        }
        at = end + 1;
    }
    return true;
}

void config_substitute(struct config *config, struct config_node *node)
{
    struct value value = {NULL, 0};
    size_t errors = config_errors(config);

    node->text = node->raw;
    if (strstr(node->raw, "${") == NULL) {
        return;
    }
    value.text = malloc(VALUE_MAX);
    if (value.text != NULL && fill(config, node, &value)) {
        const char *text = config_copy(config, value.text, value.length);

        node->text = text == NULL ? "" : text;
    } else {
        node->text = "";
        node->unset = true;
        if (config_errors(config) == errors) {
            config_report(config, CONFIG_ERROR, node, "is too long once its variables are put in");
        }
    }
    if (value.text != NULL) {
        explicit_bzero(value.text, VALUE_MAX);
    }
    free(value.text);
}
