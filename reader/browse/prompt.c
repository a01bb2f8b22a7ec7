/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "prompt.h"

#include <dlfcn.h>
#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OF_LIBEDIT(X)                       \
	X(add_history)                      \
	X(history_base)                     \
	X(history_get)                      \
	X(history_length)                   \
	X(readline)                         \
	X(rl_attempted_completion_function) \
	X(rl_attempted_completion_over)     \
	X(rl_basic_word_break_characters)   \
	X(rl_completion_matches)            \
	X(rl_line_buffer)                   \
	X(rl_readline_name)                 \
	X(using_history)

/* The addresses of libedit's functions and variables, with the types of its header. */
static struct {
#define MEMBER(name) __typeof__(name) *name;
	OF_LIBEDIT(MEMBER)
} edit;

static bool open_libedit(void)
{
	static const char *const names[] = { "libedit.so.2", "libedit.so.0" };
	void *library = NULL, *symbol;

	for (size_t i = 0; i < 2 && !library; i++)
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return false;
#define FIND(name)                      \
	symbol = dlsym(library, #name); \
	if (!symbol)                    \
		return false;           \
	memcpy(&edit.name, &symbol, sizeof(symbol));
	OF_LIBEDIT(FIND)
	return true;
}

/* Static, because libedit passes no argument of ours to its callbacks. */
static prompt_words *completed_words;
static const char *const *candidate;

static char *next_candidate(const char *text, int state)
{
	static const char *const *at;

	for (at = state ? at : candidate; *at;)
		if (!strncmp(*at++, text, strlen(text)))
			return strdup(at[-1]);
	return NULL;
}

static char **complete(const char *text, int start, int end)
{
	char *before = strndup(*edit.rl_line_buffer, (size_t)start);

	(void)end;
	candidate = before ? completed_words(before) : NULL;
	free(before);
	*edit.rl_attempted_completion_over = candidate != NULL;
	return candidate ? edit.rl_completion_matches(text, next_candidate) : NULL;
}

void prompt_open(struct prompt *p, prompt_words *words)
{
	*p = (struct prompt){ 0 };
	p->edited = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && open_libedit();
	if (!p->edited)
		return;
	setlocale(LC_CTYPE, ""); /* libedit needs the width of characters */
	completed_words = words;
	*edit.rl_readline_name = (char *)"pyshim-read";
	*edit.rl_attempted_completion_function = complete;
	*edit.rl_basic_word_break_characters = (char *)" \t?";
	edit.using_history();
}

void prompt_close(struct prompt *p)
{
	free(p->line);
	p->line = NULL;
}

static int read_edited(struct prompt *p, const char *prompt, struct text *line)
{
	HIST_ENTRY *last;

	free(p->line);
	p->line = edit.readline(prompt);
	if (!p->line)
		return 0;
	*line = (struct text){ p->line, strlen(p->line) };
	last = *edit.history_length
		       ? edit.history_get(*edit.history_base + *edit.history_length - 1)
		       : NULL;
	if (line->n && !(last && !strcmp(last->line, p->line)))
		edit.add_history(p->line);
	return 1;
}

int prompt_read(struct prompt *p, const char *prompt, struct text *line)
{
	ssize_t n;

	if (!p->edited)
		fputs(prompt, stdout);
	if (fflush(stdout))
		return -errno;
	if (p->edited)
		return read_edited(p, prompt, line);
	n = getline(&p->line, &p->cap_line, stdin);
	if (n < 0)
		return ferror(stdin) ? -errno : 0;
	*line = (struct text){ p->line, (size_t)n - (p->line[n - 1] == '\n') };
	return 1;
}
