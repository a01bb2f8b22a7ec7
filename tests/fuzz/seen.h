/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Included before everything else: whoever loads a word that another process may write is told of
 * it, and may have that process write right then. So what is read twice is read differently.
 */
#ifndef TESTS_SEEN_H
#define TESTS_SEEN_H

void scribble_seen(const void *word);

#define __atomic_load_n(word, order)                     \
	(__extension__({                                 \
		__typeof__(+*(word)) seen_value;         \
		__atomic_load(word, &seen_value, order); \
		scribble_seen(word);                     \
		seen_value;                              \
	}))

#endif
