/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: dlsym_often TIMES LIBRARY...
 *
 * A program without Python. Opens all libraries but the last, calls dlsym TIMES times, opens the
 * last one, and calls dlsym once more. Prints how many objects the shim looked at in the TIMES
 * calls and in the last one. Must be linked with -rdynamic, so that the shim finds our
 * dl_iterate_phdr.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

typedef int (*look_fn)(struct dl_phdr_info *, size_t, void *);

struct pass {
	look_fn look;
	void *arg;
};

static long n_looks;

static int count_look(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct pass *p = arg;

	n_looks++;
	return p->look(info, size, p->arg);
}

int dl_iterate_phdr(look_fn look, void *arg)
{
	static int (*real)(look_fn, void *);
	struct pass pass = { look, arg };

	if (!real)
		real = (int (*)(look_fn, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
	return real ? real(count_look, &pass) : 0;
}

static void call(long times)
{
	n_looks = 0;
	for (long i = 0; i < times; i++) {
		if (!dlsym(RTLD_DEFAULT, "malloc"))
			abort();
	}
	printf("%ld\n", n_looks);
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc - 1; i++) {
		if (!dlopen(argv[i], RTLD_NOW))
			return 1;
	}
	dlsym(RTLD_DEFAULT, "malloc");
	call(atol(argv[1]));
	if (!dlopen(argv[argc - 1], RTLD_NOW))
		return 1;
	call(1);
	return 0;
}
