/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Included before everything else. Each atomic load calls scribble_after_load(), which may change
 * the word as another process could. A word that the reader loads twice then has two values.
 */
#ifndef TESTS_TRACED_H
#define TESTS_TRACED_H

void scribble_after_load(const void *word);

#define __atomic_load_n(word, order)                       \
	(__extension__({                                   \
		__typeof__(+*(word)) traced_value;         \
		__atomic_load(word, &traced_value, order); \
		scribble_after_load(word);                 \
		traced_value;                              \
	}))

#endif
