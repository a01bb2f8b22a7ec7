/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recording -> profile: attach, drain, rebuild and bias in turn, with the calibration that fits.
 */
#ifndef READER_RECORDING_H
#define READER_RECORDING_H

#include "profile/profile.h"
#include "rebuild.h"
#include "source.h"

/* What --bias and --bare-time say. */
struct bias_wish {
	enum { BIAS_AUTO, BIAS_NONE, BIAS_SECONDS, BIAS_FILE } kind;
	double seconds;	  /* per event */
	const char *path; /* of a calibration */
	double bare_s;	  /* 0: not given */
};

/* What is wanted of a recording. */
struct recording_wish {
	struct bias_wish bias;
	struct rebuild_view view;
};

/*
 * Reads the recording at `path` into `p`, and what is to be said of it into `s`. 0 or -errno, with
 * what is wrong in `error`, of 512 bytes, as "verb object: found, expected".
 */
int recording_read(struct source *s, const char *path, const struct recording_wish *wish,
		   struct profile *p, char *error);

#endif
