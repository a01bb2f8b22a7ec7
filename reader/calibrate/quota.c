/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATH 4096

/* Returns the number after "NAME " at the start of a line, or 0. */
static double value_of(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, n) && at[n] == ' ')
			return strtod(at + n + 1, NULL);
	}
	return 0;
}

double quota_parse(const char *text)
{
	double s =
		value_of(text, "throttled_usec") * 1e-6 + value_of(text, "throttled_time") * 1e-9;

	return s > 0 ? s : 0;
}

/* True if "cpu" is one of `n` characters of names, separated by commas. */
static bool has_cpu(const char *names, size_t n)
{
	while (n) {
		const char *end = memchr(names, ',', n);
		size_t length = end ? (size_t)(end - names) : n;

		if (length == 3 && !memcmp(names, "cpu", 3))
			return true;
		length += end != NULL;
		names += length;
		n -= length;
	}
	return false;
}

bool quota_folder(char *folder, size_t cap, const char *line)
{
	const char *names = strchr(line, ':');
	const char *path = names ? strchr(++names, ':') : NULL;
	size_t n = path ? (size_t)(path++ - names) : 0;
	int length;

	if (!path || *path != '/' || (n && !has_cpu(names, n)))
		return false;
	if (!strcmp(path, "/"))
		path = "";
	length = snprintf(folder, cap, "%s%.*s%s", n ? "/" : "", (int)n, names, path);
	return length >= 0 && (size_t)length < cap;
}

static double read_group(const char *root, const char *folder)
{
	char path[2 * MAX_PATH], text[4096];
	FILE *f;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s%s/cpu.stat", root, folder);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return quota_parse(text);
}

/* In a container the path may begin above the mounted part, so each level is tried. */
static double read_groups(const char *root, char *folder)
{
	double s = 0;

	for (;;) {
		char *end = strrchr(folder, '/');

		s += read_group(root, folder);
		if (!end)
			return s;
		*end = '\0';
	}
}

double quota_read(const char *root, const char *cgroup_file)
{
	FILE *f = fopen(cgroup_file, "re");
	char line[MAX_PATH], folder[MAX_PATH];
	double s = 0;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (quota_folder(folder, sizeof(folder), line))
			s += read_groups(root, folder);
	}
	if (f)
		fclose(f);
	return s;
}
