/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FEED_FEED_H
#define EARSHOT_COLLECTORS_FEED_FEED_H

/*
 * The feed reader (`use: feed`): RSS 0.9x to 2.0, RSS 1.0 (RDF), Atom 0.3 and 1.0, JSON Feed 1.0
 * and 1.1, behind collectors/source.h.
 *
 * The address may be a site's: then its page is asked where its feeds are, that of its comments too
 * (`comments: true`), else the usual places are tried; what is found is kept, and looked for again
 * once it is no feed any more.
 *
 * A poll asks for the feed (conditionally), emits its entries, then, with `comments: true`, a
 * bounded number of comment feeds that its entries name, and last asks for a few entries that are
 * gone from a feed that still shows older ones: only a 404 or 410 there makes them deleted.
 *
 * Ids are `feed:HOST:GUID`, HOST being that of the configured address, GUID the entry's guid or id,
 * else its link, else a hash of its title and date.
 */

#include "collectors/source.h"

extern const struct source_reader feed_reader;

#endif
