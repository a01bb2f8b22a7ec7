/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libc.h"

#include <dlfcn.h>
#include <stddef.h>

struct libc libc;

void libc_init(void)
{
	static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17" };

	for (size_t i = 0; !libc.dlsym && i < sizeof(versions) / sizeof(versions[0]); i++)
		libc.dlsym = (__typeof__(libc.dlsym))dlvsym(RTLD_NEXT, "dlsym", versions[i]);
}

void *libc_look_up(void *pointer, const char *name)
{
	void *found;

	if (!libc.dlsym)
		libc_init();
	found = libc.dlsym ? libc.dlsym(RTLD_NEXT, name) : NULL;
	*(void **)pointer = found;
	return found;
}
