/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

size_t command_bytes(const struct pyprof_header *h)
{
	return h->cmdline_bytes < sizeof(h->cmdline) ? h->cmdline_bytes : sizeof(h->cmdline);
}

void command_print(FILE *to, const struct pyprof_header *h, size_t bytes)
{
	size_t n = command_bytes(h);
	size_t end = n ? n - 1 : 0;

	if (bytes && end > bytes) {
		end = bytes > 3 ? bytes - 3 : 0;
		while (end && ((unsigned char)h->cmdline[end] & 0xc0) == 0x80)
			end--; /* to the start of a character */
	}
	for (size_t i = 0; i < end; i++) {
		unsigned char c = (unsigned char)h->cmdline[i];

		fputc(c ? c < ' ' || c == 127 ? '?' : c : ' ', to);
	}
	if (end + 1 < n)
		fputs("...", to);
}
