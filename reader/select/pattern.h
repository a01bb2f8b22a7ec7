/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Translates a regular expression of Python's re to PCRE2. match.c calls it. It owns no state; the
 * results belong to the caller. It must not call PCRE2.
 *
 * The syntax and its errors are those of re in Python 3.11 and later, with \z of 3.14. So
 * possessive repeats and atomic groups are accepted, and global flags after the start are not.
 * Group names become numbers. \w, \d, \s, \b and other escapes that match different characters in
 * PCRE2 are written as classes.
 *
 * Python's strings may contain surrogates, PCRE2's UTF-8 may not. The result has the last private
 * characters instead, U+10F800 to U+10FFFF, and so must the text that is searched
 * (pattern_hide_surrogates).
 *
 * PATTERN_UNSUPPORTED reports features that PCRE2 does not have: \N{name}, repeats of more than
 * 65535, and patterns that are too large for it. Two differences are not reported: PCRE2 has
 * another version of Unicode than Python, and without regard to case it distinguishes U+FB05 from
 * U+FB06, U+0390 from U+1FD3, and U+03B0 from U+1FE3.
 */
#ifndef READER_PATTERN_H
#define READER_PATTERN_H

#include <stddef.h>

#include "profile/profile.h"

enum pattern_status { PATTERN_OK, PATTERN_INVALID, PATTERN_UNSUPPORTED, PATTERN_NO_MEMORY };

/*
 * `pattern` is UTF-8; other bytes become surrogates, as in sys.argv. The result, for free(), is
 * ASCII. It is NULL if the status is not PATTERN_OK.
 */
enum pattern_status pattern_translate(struct text pattern, char **result);

/*
 * The code points of a text from outside, for free(), or NULL without memory. Bytes that are not
 * UTF-8, those of encoded surrogates included, become U+DC00 + byte.
 */
uint32_t *pattern_decode(struct text t, size_t *n);

/*
 * If `t` has surrogates, makes `t` a copy in which they are replaced, and sets `owned` to it, for
 * free(). Then `t` can be searched. 0 or -ENOMEM.
 */
int pattern_hide_surrogates(struct text *t, char **owned);

#endif
