/* SPDX-License-Identifier: Apache-2.0 */
#include "collectors/source_hide.h"

#include <string.h>

#include "collectors/definition/definition.h"
#include "collectors/session.h"
#include "collectors/tape/tape.h"
#include "collectors/token/token.h"
#include "common/config/config.h"

static int hide(void *user, const char *secret, struct ear_error *err)
{
    return tape_hide(user, secret, err);
}

static int hide_text(struct tape *tape, const struct definition *definition, const char *key,
                     const struct config_node *node, struct ear_error *err)
{
    const char *written = config_written(node);
    const bool is_secret = settings_names_secret(key) ||
                           (definition != NULL && definition_hides(definition, key)) ||
                           (written != NULL && strstr(written, "${file:") != NULL);

    if (is_secret && tape_hide(tape, config_scalar(node), err) != 0) {
        return -1;
    }
    return tape_hide_address(tape, config_scalar(node), err);
}

static int hide_node(struct tape *tape, const struct definition *definition,
                     const struct config_node *node, struct ear_error *err)
{
    for (size_t i = 0; i < config_count(node); i++) {
        const struct config_node *each = config_at(node, i);
        const char *key = config_is_mapping(node) ? config_key_at(node, i) : "";

        if ((config_scalar(each) == NULL ? hide_node(tape, definition, each, err)
                                         : hide_text(tape, definition, key, each, err)) != 0) {
            return -1;
        }
    }
    return 0;
}

int source_hide_tokens(struct tape *tape, const struct session *session, struct ear_error *err)
{
    return tokens_tell(session->tokens, hide, tape, err);
}

int source_hide(struct tape *tape, const struct session *session, const struct source_entry *entry,
                struct ear_error *err)
{
    bool known = false;
    const struct definition *definition =
        definitions_find(session->sources.definitions, entry->source->use, &known, err);

    if (definition == NULL && err->kind != EAR_NONE) {
        return -1;
    }
    return hide_node(tape, definition, entry->source->node, err) != 0
               ? -1
               : source_hide_tokens(tape, session, err);
}
