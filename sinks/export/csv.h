/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EARSHOT_SINKS_EXPORT_CSV_H
#define EARSHOT_SINKS_EXPORT_CSV_H

/*
 * CSV as RFC 4180 has it, safe to open in a spreadsheet: a cell that begins with = + - @, a tab, a
 * carriage return or their full-width forms gets an apostrophe in front, so that what a stranger
 * wrote is never run as a formula (reliability.md, Output safety). Numbers of ours are exempt.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The first line. */
void csv_head(FILE *out, const char *const names[], size_t count);

/* The first cell of a line, and those after it; NULL is an empty cell. */
void csv_first(FILE *out, const char *text);
void csv_text(FILE *out, const char *text);
void csv_integer(FILE *out, int64_t value);
void csv_number(FILE *out, const char *digits); /* as printed by the caller; "" is empty */

/* The end of a line. */
void csv_end(FILE *out);

#endif
