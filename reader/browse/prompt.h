/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines from standard input, with a prompt. browse.c calls it; only one prompt exists for a
 * process. It owns the line that it returns. On a terminal libedit reads lines, with history and
 * completion. Otherwise libedit must not be loaded, and bytes are returned unchanged.
 *
 * libedit has the interface of readline, but its licence (BSD) has no effect on ours, as readline's
 * (GPL) would. It is loaded at run time: linked, it and the three libraries that it needs would
 * make the start of every pyshim-read a third longer. If it is not installed, lines are read
 * without history and completion.
 */
#ifndef READER_PROMPT_H
#define READER_PROMPT_H

#include <stdbool.h>

#include "profile/profile.h"

struct prompt {
	bool edited; /* by libedit */
	char *line;
	size_t cap_line;
};

/*
 * The words that may be typed after `before`, ending with NULL; or NULL for names of files. They
 * and the list stay valid.
 */
typedef const char *const *prompt_words(const char *before);

void prompt_open(struct prompt *p, prompt_words *words);
void prompt_close(struct prompt *p);

/*
 * The next line, without its newline, valid until the next call. 1, 0 at the end of the input, or
 * -errno. Standard output is flushed first.
 */
int prompt_read(struct prompt *p, const char *prompt, struct text *line);

#endif
