/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_COLLECTORS_FILE_FILE_H
#define EARSHOT_COLLECTORS_FILE_FILE_H

/*
 * The file reader (`use: file`): CSV, TSV and NDJSON, one file or a folder watched by a pattern,
 * behind collectors/source.h.
 *
 * A row is a post. Its id is that of the mapped id column, else a hash of all its cells and its
 * ordinal among the equal rows of its file: reading a file again changes nothing, and two equal
 * answers stay two. In NDJSON a later line with the same id is an edit, {"id":…,"deleted":true} a
 * deletion; members that a post does not have are kept under x_.
 *
 * The cursor keeps for each file how far it was read. A file that has grown is read on; one that is
 * shorter, another (inode) or begins otherwise is read again, and so is all after a change of the
 * source's configuration. A last line without its end is read as it stands; if it turns out longer
 * later, what was made of it is taken back.
 */

#include "collectors/source.h"

extern const struct source_reader file_reader;

#endif
