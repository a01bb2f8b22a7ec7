/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording to profile: calls attach, drain, rebuild and bias in turn, with the calibration that
 * fits. Owns nothing between calls. load/sources.c and calibrate call it, from one thread. It must
 * not print.
 */
#ifndef READER_RECORDING_H
#define READER_RECORDING_H

#include "base/error.h"
#include "profile/profile.h"
#include "rebuild.h"
#include "source.h"

/*
 * Adds the recording at `path` to the profile `p`, and fills in `s`, except for its name. 0, or
 * -errno with `error` set; `p` may then hold a part of it. The caller frees the summary in `s`.
 */
int recording_read(struct source *s, const char *path, const struct request *q, struct profile *p,
		   struct contexts *contexts, struct error *error);

#endif
