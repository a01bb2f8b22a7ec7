/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The HTML report: one page that needs no other file. tools/html-page has joined the parts of
 * reader/format/html/ into one text at build; the data takes the place of a mark in it.
 */
#include <errno.h>
#include <string.h>

#include "html_data.h"
#include "writers.h"

/* HTML_PAGE is the path of the text, relative to the root of the sources. */
__asm__(".pushsection .rodata\n"
	"html_page: .incbin \"" HTML_PAGE "\"\n"
	".byte 0\n"
	".popsection\n");
extern const char html_page[] __asm__("html_page");

#define MARK "{{data}}"

int html_write(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	struct put j = { .to = to, .in_script = true };
	const char *mark = strstr(html_page, MARK);
	int err;

	(void)e;
	fwrite(html_page, 1, (size_t)(mark - html_page), to);
	err = html_data_put(&j, r, o);
	if (!err)
		fputs(mark + strlen(MARK), to);
	return err;
}
