/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "pstats/pstats.h"
#include "writers.h"

/* The thread that a report is about, or NULL if there are several. */
static const struct rebuild_thread *only_thread(const struct reading *r,
						const struct reading_report *report)
{
	const struct rebuild_thread *only = report->thread;
	size_t n = 0;

	for (size_t k = 0; k < r->n_sources; k++) {
		const struct rebuild_summary *sum = &r->source[k].summary;

		for (size_t i = 0; reading_has_source(report, k) && i < sum->n_listed; i++) {
			if (!sources_is_chosen(r->request, &sum->thread[i]))
				continue;
			only = &sum->thread[i];
			n++;
		}
	}
	return n > 1 ? NULL : only;
}

int write_json(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	struct report_options *options = calloc(r->n_reports + 1, sizeof(*options));
	struct json_report *report = calloc(r->n_reports + 1, sizeof(*report));
	int err = options && report ? 0 : -ENOMEM;

	for (size_t i = 0; i < r->n_reports && !err; i++) {
		const struct reading_report *from = &r->report[i];

		options[i] = show_options(o, &from->sum);
		report[i] = (struct json_report){ .profile = &from->sum.profile,
						  .options = &options[i],
						  .source = from->source,
						  .thread = only_thread(r, from),
						  .request = r->request };
	}
	if (!err)
		err = json_write(to, r->source, r->n_sources, report, r->n_reports, e);
	free(options);
	free(report);
	return err;
}

int write_pstats(FILE *to, const struct reading *r, const struct show *o, struct error *e)
{
	(void)o;
	(void)e;
	return pstats_write(to, &r->report[0].sum.profile);
}

#define FORMAT(name, writer, flags) { name, writer, flags },
static const struct format formats[] = {
#include "base/formats.def"
};
#undef FORMAT

const struct format *format_find(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	}
	return NULL;
}

const struct format *format_default(void)
{
	return &formats[0];
}
