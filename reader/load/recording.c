/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recording.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyprof/clock.h"
#include "recording/attach.h"
#include "recording/drain.h"
#include "recording/names.h"
#include "recording/ticks.h"

static void key_of(struct calibration_key *key, const struct pyprof_header *h)
{
	snprintf(key->python, sizeof(key->python), "%s", h->python);
	error_make_printable(key->python);
	snprintf(key->engine, sizeof(key->engine), "%s", pyprof_engine_name(h->engine));
	snprintf(key->shim, sizeof(key->shim), "%s", h->shim);
	error_make_printable(key->shim);
	snprintf(key->clock, sizeof(key->clock), "%s", pyprof_clock_names(h->clock)->key);
	calibration_processor(key->processor, sizeof(key->processor));
}

static bool same_key(const struct calibration_key *a, const struct calibration_key *b)
{
	return !strcmp(a->python, b->python) && !strcmp(a->engine, b->engine) &&
	       !strcmp(a->shim, b->shim) && !strcmp(a->processor, b->processor) &&
	       !strcmp(a->clock, b->clock);
}

static void find_kept(struct source *s, const struct calibration_key *key)
{
	char *path = calibration_path(key);

	if (path && !calibration_load(&s->calibration, path) && same_key(&s->calibration.key, key))
		s->correction = CORRECTION_KEPT;
	free(path);
}

/* Chooses the calibration for this recording, if one exists. 0 or -errno. */
static int choose_calibration(struct source *s, const struct request *q, struct error *error)
{
	const struct pyprof_header *h = &s->header;
	struct calibration_key key = { .python = "" };
	int err;

	key_of(&key, h);
	s->correction = CORRECTION_MISSING;
	if (q->bias == REQUEST_BIAS_NONE || h->clock == PYPROF_CLOCK_COUNT) {
		s->correction = CORRECTION_UNWANTED;
	} else if (q->bias == REQUEST_BIAS_SECONDS) {
		calibration_from_bias(&s->calibration, q->bias_s);
		s->correction = CORRECTION_NUMBER;
	} else if (q->bias == REQUEST_BIAS_FILE) {
		err = calibration_load(&s->calibration, q->bias_file);
		if (err)
			return error_set(
				error, err,
				"read --bias: found '%s' (%s), expected auto, none, seconds "
				"per event or a file that --calibrate has written",
				q->bias_file, err == -EINVAL ? "no calibration" : strerror(-err));
		s->correction = CORRECTION_FILE;
	} else if (h->has_bias) {
		calibration_from_bias(&s->calibration, (double)h->bias_ps * 1e-12);
		s->correction = CORRECTION_RECORDED;
	} else {
		find_kept(s, &key);
	}
	s->calibration.key = key;
	return 0;
}

static bool is_corrected(const struct source *s)
{
	return s->correction >= CORRECTION_NUMBER;
}

static int correct(struct source *s, const struct request *q, struct profile *p,
		   struct contexts *contexts, struct error *error)
{
	int err;

	if (!is_corrected(s) && q->bare_s > 0)
		return error_set(error, -EINVAL,
				 "apply --bare-time: found no calibration that could be scaled, "
				 "expected one (pyshim-read --calibrate 100000 makes it)");
	if (!is_corrected(s))
		return 0;
	err = correct_apply(p, q->bare_s, &s->bias);
	if (!err && contexts)
		err = contexts_correct(contexts, p);
	for (size_t i = 0; i < s->summary.n_listed && !err; i++) {
		struct correct_result
			of_thread; /* not used: the report states that of all threads */

		err = correct_apply(&s->summary.thread[i].profile, 0, &of_thread);
	}
	if (err == -ERANGE)
		error_set(
			error, err,
			"apply --bare-time: found %.6g s, expected less than the %.6g s of the recording",
			q->bare_s, s->bias.raw_s);
	return err;
}

/* Returns the CPU time of the process. NAN if neither its clock counts it nor the process runs. */
static double cpu_seconds(const struct source *s, const struct owner *o)
{
	clockid_t cpu;

	if (s->header.clock == PYPROF_CLOCK_CPU || s->header.clock == PYPROF_CLOCK_THREAD)
		return source_recorded_s(s);
	if (s->live && clock_getcpuclockid((pid_t)o->pid, &cpu) == 0)
		return (double)pyprof_clock_ns(cpu) * 1e-9;
	return NAN;
}

/*
 * Refuses a copy that was made while the target wrote, so that its parts are of different times.
 * In a copy, any inconsistency is taken for that, because the numbers would be wrong.
 */
static int check_copy(const struct attach *a, const struct drain *d, const struct names *names,
		      const struct rebuild_summary *sum, struct error *error)
{
	bool inconsistent = d->torn || d->n_bad || names->n_bad || sum->n_unnamed ||
			    sum->n_time_broken || sum->n_calls_broken;

	if (!a->copied || !inconsistent)
		return 0;
	return error_set(error, -EINVAL,
			 "read %.300s: found parts of different times, expected a copy of an ended "
			 "process's recording (pyshim-read --snapshot FILE PID copies that of a "
			 "running one)",
			 a->path);
}

int recording_read(struct source *s, const char *path, const struct request *q, struct profile *p,
		   struct contexts *contexts, struct error *error)
{
	struct attach a;
	struct names names = { 0 };
	struct drain d = { 0 };
	int err = attach_open(&a, path);

	if (err) {
		*error = a.error;
		return err;
	}
	*error->text = '\0';
	s->header = a.header;
	s->live = a.live;
	s->state = a.owner.state;
	err = choose_calibration(s, q, error);
	if (!err)
		err = drain_init(&d, &a);
	if (!err)
		s->seconds_per_tick = ticks_seconds(&d);
	if (!err)
		err = names_read(&names, &a);
	if (!err)
		err = rebuild(p, contexts, &d, &names, s->seconds_per_tick,
			      is_corrected(s) ? &s->calibration : NULL, q, &s->summary);
	if (!err)
		err = check_copy(&a, &d, &names, &s->summary, error);
	if (!err)
		err = correct(s, q, p, contexts, error);
	s->cpu_s = cpu_seconds(s, &a.owner);
	memcpy(s->n_lost, d.n_lost, sizeof(s->n_lost));
	s->n_bad = d.n_bad + names.n_bad;
	names_fini(&names);
	drain_fini(&d);
	attach_close(&a);
	if (err && !*error->text)
		error_set(error, err, "read %s: %s", path, strerror(-err));
	return err;
}
