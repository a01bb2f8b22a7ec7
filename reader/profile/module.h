/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File and name of a function -> its module and its package, for --by-module and --by-package. Owns
 * what it has learned about folders. profile/group.c calls it, from one thread. It must not import
 * anything, nor need the files: those that exist on this machine only make the names better.
 *
 * A profile does not say what sys.path was. A path is divided into a root, which was an entry of
 * it, and the rest, which gives the module's name:
 *
 *	.../site-packages/PKG/MOD.py	also dist-packages
 *	.../lib/python3.X/PKG/MOD.py	the standard library, also lib-dynload
 *	.../NAME.zip/PKG/MOD.py		also .egg, .whl, .pyz, .pex
 *	<frozen MOD>			the standard library
 *	any other path			from the topmost of the folders around it that have an
 *					__init__.py. Without one in its own folder, it may be in a
 *					namespace package below the folder of the main script
 *
 * The module of a script is named after its file, not __main__. The label of a C function has the
 * name of its module, else that is builtins.
 */
#ifndef READER_MODULE_H
#define READER_MODULE_H

#include "distribution.h"
#include "profile.h"

enum module_home {
	MODULE_C,	/* a C function */
	MODULE_FROZEN,	/* <frozen MOD> */
	MODULE_UNNAMED, /* <string> and the like: code without a file */
	MODULE_STDLIB,
	MODULE_SITE,	/* installed: site-packages, dist-packages */
	MODULE_ARCHIVE, /* in a zip file, egg or wheel */
	MODULE_OWN,	/* any other file */
};

/* A path in two parts; both point into it. */
struct module_place {
	enum module_home home;
	struct text root; /* without the slash at its end; "" if the path has no folder */
	struct text rest; /* from the top-level package on; for C and frozen: the module */
};

/* Divides a path by its text alone: the root of MODULE_OWN is the folder of the file. */
struct module_place module_place(struct text file, struct text name);

/* Folders, as the profile and this machine have them. */
struct modules {
	struct profile folders; /* index of folders: state[i] is that of the function i in it */
	signed char *state;	/* 1: has an __init__.py, 0: has none, -1: not looked up */
	size_t cap_state;
	struct texts texts;
	struct text *script; /* folders of main scripts */
	size_t n_scripts;
	struct distributions sites;
	char *name; /* the last result */
	size_t cap_name;
};

/*
 * Learns the folders of packages and of main scripts in `p`. With `sites`, also reads what is
 * installed in the site-packages folders of `p`, as far as they exist here. 0 or -ENOMEM.
 * modules_fini must follow in both cases.
 */
int modules_init(struct modules *m, const struct profile *p, bool sites);
void modules_fini(struct modules *m);

/*
 * The module of a function, such as json.decoder. The text is valid until the next call. 0 or
 * -ENOMEM.
 */
int modules_name(struct modules *m, const struct profile_fn *fn, struct text *name);

/*
 * The package of a function: the distribution that installed it (PyYAML), `python` for the standard
 * library and the interpreter, the root of its path for any other file. The text is valid as above.
 */
int modules_package(struct modules *m, const struct profile_fn *fn, struct text *name);

/* The calls of a function that no function of the profile made. */
uint64_t module_calls_without_caller(const struct profile_fn *fn);

#endif
