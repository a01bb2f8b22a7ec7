/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which file systems several machines may write at the same time. On these a recording of another
 * boot may be another machine's, whose process runs; on all others that process has ended.
 */
#ifndef PYPROF_MACHINES_H
#define PYPROF_MACHINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `type`: f_type of struct statfs; the numbers are those of statfs(2). */
static inline bool pyprof_is_shared_by_machines(uint64_t type)
{
	static const uint32_t shared[] = {
		0x00006969, /* NFS */
		0x0000517b, /* SMB */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB2 */
		0x65735546, /* FUSE: sshfs, virtiofs, ... */
		0x00c36400, /* Ceph */
		0x01021997, /* 9p */
		0x47504653, /* GPFS */
		0x0bd00bd0, /* Lustre */
		0x7461636f, /* OCFS2 */
		0x01161970, /* GFS2 */
		0x5346414f, /* AFS */
		0x786f4256, /* VirtualBox */
	};

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		if ((uint32_t)type == shared[i])
			return true;
	}
	return false;
}

#endif
