/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A regular expression of Python's re -> the same one for PCRE2. Pure.
 *
 * The syntax, and what is an error in it, is that of re in Python 3.11 and later, with \z of 3.14:
 * so possessive repeats and atomic groups are taken, and global flags behind the start are not.
 * Names become numbers; \w, \d, \s, \b and the rest that mean other characters in PCRE2 are spelled
 * out.
 *
 * Python's strings may hold surrogates, PCRE2's UTF-8 may not: in the result they stand as the last
 * private characters, U+10F800 to U+10FFFF, and so they must in what is searched
 * (pattern_hide_surrogates).
 *
 * What PCRE2 cannot do is told as PATTERN_UNSUPPORTED: \N{name}, repeats of more than 65535, and
 * what it finds too large. Two things differ in silence: PCRE2 has the characters of another
 * Unicode than the Python, and the ligatures U+FB05 and U+FB06, and U+0390, U+03B0 and their
 * doubles U+1FD3 and U+1FE3, are not found equal without regard to case.
 */
#ifndef READER_PATTERN_H
#define READER_PATTERN_H

#include <stddef.h>

#include "profile/profile.h"

enum pattern_status { PATTERN_OK, PATTERN_INVALID, PATTERN_UNSUPPORTED, PATTERN_NO_MEMORY };

/*
 * `pattern` is UTF-8; bytes that are not are surrogates, as in sys.argv. The result, for free(), is
 * ASCII; it is NULL where the status is not PATTERN_OK.
 */
enum pattern_status pattern_translate(struct text pattern, char **result);

/*
 * The code points of a text from the outside, for free(), or NULL without memory: what is no UTF-8,
 * encoded surrogates too, becomes U+DC00 + byte.
 */
uint32_t *pattern_decode(struct text t, size_t *n);

/*
 * Where a struct text has surrogates: a copy with them hidden, for free(). `t` is what to search.
 */
int pattern_hide_surrogates(struct text *t, char **owned);

#endif
