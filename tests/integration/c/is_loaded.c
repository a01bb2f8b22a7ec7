/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints whether it has other rights than its caller, and whether the shim is loaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/auxv.h>

int main(void)
{
	printf("%s %s\n", getauxval(AT_SECURE) ? "secure" : "ordinary",
	       dlsym(RTLD_DEFAULT, "pyshim_start") ? "loaded" : "not loaded");
	return 0;
}
