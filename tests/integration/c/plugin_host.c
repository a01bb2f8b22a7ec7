/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin_host PLUGIN SOURCE: a host without Python that loads a plugin with Python. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	int (*run)(const char *);
	void *plugin;

	if (argc != 3)
		return 2;
	plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	*(void **)&run = dlsym(plugin, "plugin_run");
	return run ? run(argv[2]) : 2;
}
