/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fit.h"
#include "places.h"
#include "recording.h"
#include "solve.h"

#define SLICES 20 /* of a loop in a round */
#define MANY \
	20000 /* calls: fewer are disturbed by anything, and more rounds of them are of no use */

struct run {
	const struct calibration *c;
	char folder[64]; /* of the recordings */
	char shim[96];
	int n_loops; /* that the program has */
	struct source source;
};

static int fail(const char *verb, const char *object, const char *found, const char *expected)
{
	fprintf(stderr, "pyshim-read: %s %s: %s, expected %s\n", verb, object, found, expected);
	return -1;
}

/* --- processes ------------------------------------------------------------------------------------------ */

/* A folder for recordings, and the shim in it by a link: LD_PRELOAD is split at blanks and colons. */
static int make_folder(struct run *run)
{
	char *shim = places_find("libpyshim.so");
	int err = shim ? 0 : -1;

	if (err)
		return fail("find", "libpyshim.so",
			    "found none beside this program and in its LIBDIR",
			    "it where `make` or `make install` puts it");
	/* As the launcher's: pyshim-read --clean knows from the name whose it was. */
	snprintf(run->folder, sizeof(run->folder), "/dev/shm/pyshim.%d.%llu.XXXXXX", (int)getpid(),
		 (unsigned long long)owner_namespace());
	if (!mkdtemp(run->folder)) {
		err = fail("make", run->folder, strerror(errno), "a folder for recordings");
	} else {
		snprintf(run->shim, sizeof(run->shim), "%s/libpyshim.so", run->folder);
		if (symlink(shim, run->shim) < 0)
			err = fail("link", run->shim, strerror(errno), "a name for libpyshim.so");
	}
	free(shim);
	return err;
}

static void remove_folder(const struct run *run)
{
	unlink(run->shim);
	rmdir(run->folder);
}

static _Noreturn void become_target(const struct run *run, bool recorded, int out)
{
	static const char *const settings[] = { "PYSHIM_BUFFER",   "PYSHIM_OVERFLOW",
						"PYSHIM_BUILTINS", "PYSHIM_START",
						"PYSHIM_BIAS",	   "PYSHIM_DISABLE",
						"PYSHIM_ENGINE",   "PYSHIM_FORK" };
	char n_calls[32];
	int in = open("/dev/null", O_RDONLY);

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		unsetenv(settings[i]);
	setenv("PYSHIM_DIR", run->folder, 1);
	if (recorded)
		setenv("LD_PRELOAD", run->shim, 1);
	else
		unsetenv("LD_PRELOAD");
	snprintf(n_calls, sizeof(n_calls), "%" PRIu64, run->c->n_calls);
	dup2(in, 0);
	dup2(out, 1);
	execlp(run->c->python, run->c->python, "-S", "-E", "-Wignore", "-c", calibrate_program,
	       n_calls, (char *)NULL);
	_exit(127);
}

/* How many loops there were. */
static int read_times(FILE *from, uint64_t n_calls, double *seconds)
{
	uint64_t ns;
	int n = 0;

	while (n < MAX_LOOPS && fscanf(from, "%" SCNu64, &ns) == 1)
		seconds[n++] = (double)ns * 1e-9 / (double)(n_calls / SLICES);
	return n;
}

static int run_target(struct run *run, bool recorded, double *seconds)
{
	int out[2], status = 0, n_loops = 0;
	FILE *from = NULL;
	pid_t pid = -1;

	if (!pipe2(out, O_CLOEXEC)) {
		pid = fork();
		if (!pid)
			become_target(run, recorded, out[1]);
		close(out[1]);
		from = fdopen(out[0], "r");
	}
	if (pid > 0 && from)
		n_loops = read_times(from, run->c->n_calls, seconds);
	if (from)
		fclose(from);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (status || n_loops <= LOOP_MIXED || (run->n_loops && n_loops != run->n_loops))
		return fail("run", run->c->python, "it did not finish its loops",
			    "a CPython from 3.8 on");
	run->n_loops = n_loops;
	return 0;
}

/* --- recordings ----------------------------------------------------------------------------------------- */

static double self_of(const struct profile_fn *loop, const struct profile *p, const char *callee)
{
	size_t caller = (size_t)(loop - p->fn);

	for (size_t i = 0; callee && i < p->n_fns; i++) {
		const struct profile_fn *fn = &p->fn[i];

		if (fn->name.n != strlen(callee) || memcmp(fn->name.bytes, callee, fn->name.n))
			continue;
		for (size_t k = 0; k < fn->n_callers; k++) {
			if (fn->caller[k].caller == caller)
				return fn->caller[k].counts.self_s;
		}
	}
	return 0;
}

/* Each slice is a function of its own by name: the fastest counts. */
static int read_loop(const struct profile *p, double n_calls, int loop, struct round *round)
{
	char prefix[32];

	if (loop < LOOP_MIXED)
		snprintf(prefix, sizeof(prefix), "%s ", loop_facts[loop].name);
	else
		snprintf(prefix, sizeof(prefix), "mixed_%d ", loop - LOOP_MIXED);
	round->total[loop] = INFINITY;
	for (size_t k = 0; k < p->n_fns; k++) {
		const struct profile_fn *fn = &p->fn[k];
		double total = (fn->counts.total_s + fn->counts.total_cost_s) / n_calls;

		if (fn->name.n < strlen(prefix) || memcmp(fn->name.bytes, prefix, strlen(prefix)) ||
		    total >= round->total[loop])
			continue;
		round->total[loop] = total;
		round->cost[loop] = fn->counts.total_cost_s / n_calls;
		if (loop < LOOP_MIXED)
			round->callee[loop] = self_of(fn, p, loop_facts[loop].callee) / n_calls;
	}
	return isinf(round->total[loop]) ? -1 : 0;
}

static int read_loops(const struct run *run, const struct profile *p, struct round *round)
{
	double n_calls = (double)(run->c->n_calls / SLICES);
	int err = 0;

	for (int i = 0; i < run->n_loops && !err; i++)
		err = read_loop(p, n_calls, i, round);
	return err;
}

/* The one recording in the folder. */
static int find_recording(const struct run *run, char *path, size_t cap)
{
	DIR *dir = opendir(run->folder);
	const struct dirent *entry;
	int err = -ENOENT;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "pyprof.", 7))
			continue;
		snprintf(path, cap, "%s/%s", run->folder, entry->d_name);
		err = 0;
	}
	if (dir)
		closedir(dir);
	return err;
}

static int read_recording(struct run *run, const struct recording_wish *wish, struct round *round)
{
	char path[512], error[512] = "";
	struct profile p;
	int err = find_recording(run, path, sizeof(path));

	profile_init(&p);
	memset(&run->source, 0, sizeof(run->source));
	if (!err)
		err = recording_read(&run->source, path, wish, &p, error);
	if (!err && read_loops(run, &p, round))
		err = -EINVAL;
	profile_fini(&p);
	if (*error)
		fprintf(stderr, "pyshim-read: %s\n", error);
	else if (err)
		fail("calibrate", run->c->python, "no recording of it", "a CPython from 3.8 on");
	return err ? -1 : 0;
}

static void forget_recording(const struct run *run)
{
	char path[512];

	if (!find_recording(run, path, sizeof(path)))
		unlink(path);
}

/* --- fitting to programs -------------------------------------------------------------------------------- */

/* What a calibration says of the last round. */
static int apply(struct run *run, const struct calib *c, struct round *costs)
{
	char path[128];
	struct recording_wish wish = { .bias = { .kind = BIAS_FILE, .path = path } };
	int err;

	snprintf(path, sizeof(path), "%s/costs", run->folder);
	err = calib_save(c, path);
	if (err)
		fail("write", path, strerror(-err), "space for a calibration");
	else
		err = read_recording(run, &wish, costs);
	unlink(path);
	return err ? -1 : 0;
}

/* Little enough that no program's time is less than its cost, for there costs end. */
static double step_of(int unknown)
{
	return unknown == FIT_COLD ? 1e-11 : 1e-9;
}

/* What the costs so far say of each mixed program, and how much more a second more of each unknown. */
static int find_model(struct run *run, const struct calib *c, struct fit_program *program)
{
	struct round known, costs;
	int err = apply(run, c, &known);

	for (int i = LOOP_MIXED; i < run->n_loops && !err; i++)
		program[i - LOOP_MIXED].known_s = known.cost[i];
	for (int k = 0; k < FIT_UNKNOWNS && !err; k++) {
		struct calib tried = *c;

		fit_add(&tried, k, step_of(k));
		err = apply(run, &tried, &costs);
		for (int i = LOOP_MIXED; i < run->n_loops && !err; i++)
			program[i - LOOP_MIXED].by[k] =
				(costs.cost[i] - known.cost[i]) / step_of(k);
	}
	return err;
}

/* --- telling -------------------------------------------------------------------------------------------- */

static void print(const struct run *run, const struct calib *c, double unrest)
{
	static const char *const text[CALIB_KINDS] = {
		"Python function",
		"C function",
		"more without a call site",
		"more when left by an exception",
		"more when a generator goes on",
		"more when it is a method, in C",
		"class, or what else is no function",
		"more when its code is large",
		"more when called from large code",
		"more when left by it, in C",
	};
	printf("CPython %s, %s, clock %s, %s\n", c->key.python, c->key.engine, c->key.clock,
	       c->key.processor);
	printf("nanoseconds a call, of %" PRIu64 " rounds of %" PRIu64 " calls:\n\n", c->n_rounds,
	       c->n_calls);
	printf("  %-38s %8s %8s %8s\n", "", "inside", "outside", "spread");
	for (int i = 0; i < CALIB_KINDS; i++)
		printf("  %-38s %8.1f %8.1f %8.1f\n", text[i], c->cost[i].in_s * 1e9,
		       c->cost[i].out_s * 1e9, c->cost[i].spread_s * 1e9);
	printf("\n  bytecode while recording: %.3f times as long\n", c->bytecode);
	printf("  more for each event since the last call of its kind: %.3f, of at most %u\n",
	       c->cold * 1e9, run->source.header.max_between);
	printf("  off by %.1f %% of what recording adds, at the median of %d small programs\n",
	       c->error * 100, run->n_loops - LOOP_MIXED);
	printf("  one number per event: %.4g s\n", calib_bias(c));
	if (unrest > SOLVE_UNREST)
		printf("  the fastest rounds differ by %.1f %%: better calibrate again %s\n",
		       unrest * 100,
		       c->n_calls < MANY ? "with more calls"
					 : "when the machine is less busy with other things");
}

static int keep(const struct calib *c)
{
	char *path = calib_path(&c->key);
	int err = path ? calib_save(c, path) : -ENOENT;

	if (err)
		fail("keep", path ? path : "the calibration", strerror(-err),
		     "a folder below XDG_CONFIG_HOME or HOME that can be written to");
	else
		printf("  kept in %s\n", path);
	free(path);
	return err ? -1 : 0;
}

static int run_round(struct run *run, struct round *round)
{
	const struct recording_wish raw = { .bias.kind = BIAS_NONE };
	int err;

	forget_recording(run);
	err = run_target(run, false, round->bare);
	if (!err)
		err = run_target(run, true, round->total);
	if (!err)
		err = read_recording(run, &raw, round);
	return err;
}

/* More of them where the machine does other things as well. */
static int run_rounds(struct run *run, struct rounds *r)
{
	bool shows = isatty(2);
	int most = run->c->n_calls < MANY ? SOLVE_ROUNDS : SOLVE_MAX_ROUNDS;
	int err = 0, n;

	while (!err && r->n < (n = solve_rounds(r, most))) {
		if (shows)
			fprintf(stderr, "\rround %d of %d", r->n + 1, n);
		err = run_round(run, &r->at[r->n++]);
		r->n_loops = run->n_loops;
	}
	if (shows)
		fputs("\r\033[K", stderr);
	return err;
}

/* The costs of calls in loops of them, then what programs make of these. */
static int work_out(struct run *run, const struct rounds *r, struct calib *c)
{
	bool monitoring = run->source.header.engine == PYPROF_ENGINE_MONITORING;
	struct fit_program program[MAX_LOOPS - LOOP_MIXED] = { 0 };
	int err;

	c->key = run->source.calib.key;
	c->made = time(NULL);
	c->n_rounds = (uint64_t)r->n;
	solve(c, r, monitoring);
	for (int i = LOOP_MIXED; i < run->n_loops; i++) {
		double bare = solve_bare(r, i);

		program[i - LOOP_MIXED].bare_s = bare;
		program[i - LOOP_MIXED].added_s = solve_total(r, i) - bare;
	}
	err = find_model(run, c, program);
	if (!err)
		c->error = fit(c, monitoring, program, run->n_loops - LOOP_MIXED);
	return err;
}

int calibrate(const struct calibration *c)
{
	struct run run = { .c = c };
	static struct rounds rounds;
	struct calib result = { .n_calls = c->n_calls };
	int err = make_folder(&run);

	if (!err)
		err = run_rounds(&run, &rounds);
	if (!err)
		err = work_out(&run, &rounds, &result);
	forget_recording(&run);
	remove_folder(&run);
	if (err)
		return err;
	print(&run, &result, solve_unrest(&rounds));
	return keep(&result);
}
