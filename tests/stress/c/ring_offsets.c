/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints "NAME VALUE" for each offset that tests/stress/rings.py reads in a recording. */
#include <stdio.h>

#include "pyprof/format.h"

#define SIZE(what) printf("sizeof %s %zu\n", #what, sizeof(struct pyprof_##what))
#define FIELD(what, field) \
	printf("%s.%s %zu\n", #what, #field, offsetof(struct pyprof_##what, field))

int main(void)
{
	FIELD(header, rings);
	SIZE(extent);
	FIELD(extent, bytes);
	FIELD(extent, used);
	FIELD(extent, next);
	SIZE(ring);
	FIELD(ring, folded);
	FIELD(ring, fold);
	FIELD(ring, consumer);
	return 0;
}
