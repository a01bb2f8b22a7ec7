/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "show.h"

struct report_options show_options(const struct show *show, const struct sum *sum)
{
	struct report_options options = show->report;

	options.total = &sum->total;
	options.sampled = sum->sampled;
	return options;
}
