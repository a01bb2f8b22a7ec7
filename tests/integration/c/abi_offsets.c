/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints "NAME VALUE" for each offset that tests in tests/integration change in a recording. */
#include <stdio.h>

#include "pyprof/format.h"

#define SIZE(what) printf("sizeof %s %zu\n", #what, sizeof(struct pyprof_##what))
#define FIELD(what, field) \
	printf("%s.%s %zu\n", #what, #field, offsetof(struct pyprof_##what, field))

int main(void)
{
	SIZE(header);
	FIELD(header, magic);
	FIELD(header, major);
	FIELD(header, minor);
	FIELD(header, header_bytes);
	FIELD(header, required);
	FIELD(header, optional);
	FIELD(header, block_bytes);
	FIELD(header, max_idle);
	FIELD(header, pid);
	FIELD(header, process_start);
	FIELD(header, start_realtime_ns);
	FIELD(header, clock);
	FIELD(header, engine);
	FIELD(header, cmdline_bytes);
	FIELD(header, boot_id);
	FIELD(header, python);
	FIELD(header, shim);
	FIELD(header, cmdline);
	FIELD(header, file_bytes);
	FIELD(header, names);
	FIELD(header, rings);
	FIELD(header, n_unnamed);
	FIELD(header, n_lost);
	FIELD(header, n_subinterpreters);
	FIELD(header, file_inode);
	SIZE(fold_table);
	FIELD(fold_table, cap_fns);
	FIELD(fold_table, state);
	SIZE(fold_state);
	FIELD(fold_state, n_fns);
	FIELD(fold_state, n_edges);
	SIZE(fold_fn);
	SIZE(fold_edge);
	SIZE(extent);
	FIELD(extent, kind);
	FIELD(extent, bytes);
	FIELD(extent, used);
	FIELD(extent, next);
	SIZE(name);
	FIELD(name, bytes);
	FIELD(name, number);
	FIELD(name, kind);
	FIELD(name, file_bytes);
	FIELD(name, name_bytes);
	FIELD(name, qual_bytes);
	SIZE(ring);
	FIELD(ring, first_block);
	FIELD(ring, consumer);
	FIELD(ring, fold);
	SIZE(block);
	FIELD(block, kind);
	FIELD(block, next);
	FIELD(block, sequence);
	FIELD(block, base_ticks);
	return 0;
}
