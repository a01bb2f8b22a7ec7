/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording -> profile: attach, drain, rebuild and bias in turn, with the calibration that fits.
 */
#ifndef READER_RECORDING_H
#define READER_RECORDING_H

#include "base/error.h"
#include "profile/profile.h"
#include "rebuild.h"
#include "source.h"

/*
 * Reads the recording at `path` into `p`, and what is to be said of it into `s`. 0 or -errno, with
 * what is wrong in `error` as "verb object: found, expected".
 */
int recording_read(struct source *s, const char *path, const struct request *q, struct profile *p,
		   struct error *error);

#endif
