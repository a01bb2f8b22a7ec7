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

#define ROUNDS 15
#define SLICES 20	 /* of a loop in a round */
#define BUSY 0.5	 /* spread of a call, in its cost */
#define LARGE_BYTES 2000 /* of callee_large and loop_site, about */

enum loop {
	PYTHON,
	LARGE,
	C,
	SITE,
	METHOD,
	OTHER,
	BARE,
	RESUME,
	EXCEPTION,
	PLAIN,
	WORK,
	TEXT,
	MIXED, /* the first of them; how many there are depends on what the interpreter comes with */
	MAX_LOOPS = MIXED + FIT_MAX_PROGRAMS
};

/*
 * What is known of each. The callee's own time tells what lies between the clock readings; without one
 * it is not asked for. Bytecodes of each call: how many are slowed down in the loop and in the callee.
 */
static const struct {
	const char *name, *callee;
	int n_outside, n_inside;
} loops[MIXED] = {
	[PYTHON] = { "loop_python", "callee_python", 7, 4 },
	[LARGE] = { "loop_large", "callee_large", 7, 4 },
	[C] = { "loop_c", "<built-in method builtins.callable>", 7, 0 },
	[SITE] = { "loop_site", "<built-in method builtins.callable>", 7, 0 },
	[METHOD] = { "loop_method", "<method 'get' of 'dict' objects>", 8, 0 },
	[OTHER] = { "loop_other", NULL, 6, 0 },
	[BARE] = { "loop_bare", "callee_bare", 0, 2 },
	[RESUME] = { "loop_resume", "callee_resume", 3, 5 },
	[EXCEPTION] = { "loop_exception", NULL, 15, 3 },
	[PLAIN] = { "loop_plain", NULL, 24, 0 },
	[WORK] = { "loop_work", NULL, 21, 0 },
	[TEXT] = { "loop_text", NULL, 20, 0 },
};

/* Seconds a call, of the fastest slice. */
struct round {
	double bare[MAX_LOOPS];
	double total[MAX_LOOPS];  /* as recorded */
	double callee[MAX_LOOPS]; /* of that, the callee's own time */
	double cost[MAX_LOOPS];	  /* of that, what the calibration says that recording has cost */
};

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
	snprintf(run->folder, sizeof(run->folder), "/dev/shm/pyshim.%d.XXXXXX", (int)getpid());
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
	if (status || n_loops <= MIXED || (run->n_loops && n_loops != run->n_loops))
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

	if (loop < MIXED)
		snprintf(prefix, sizeof(prefix), "%s ", loops[loop].name);
	else
		snprintf(prefix, sizeof(prefix), "mixed_%d ", loop - MIXED);
	round->total[loop] = INFINITY;
	for (size_t k = 0; k < p->n_fns; k++) {
		const struct profile_fn *fn = &p->fn[k];
		double total = (fn->counts.total_s + fn->counts.total_cost_s) / n_calls;

		if (fn->name.n < strlen(prefix) || memcmp(fn->name.bytes, prefix, strlen(prefix)) ||
		    total >= round->total[loop])
			continue;
		round->total[loop] = total;
		round->cost[loop] = fn->counts.total_cost_s / n_calls;
		if (loop < MIXED)
			round->callee[loop] = self_of(fn, p, loops[loop].callee) / n_calls;
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

/* --- solving -------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread {
	double least, half_iqr;
};

static struct spread spread_of(const struct round *rounds, size_t offset)
{
	double value[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		value[i] = *(const double *)((const char *)&rounds[i] + offset);
	qsort(value, ROUNDS, sizeof(*value), compare);
	return (struct spread){ value[0], (value[ROUNDS * 3 / 4] - value[ROUNDS / 4]) / 2 };
}

#define SPREAD(rounds, what, loop) \
	spread_of(rounds, offsetof(struct round, what) + (loop) * sizeof(double))

/* Of the fastest recorded slice. */
static double callee_of(const struct round *rounds, enum loop loop)
{
	int best = 0;

	for (int i = 1; i < ROUNDS; i++) {
		if (rounds[i].total[loop] < rounds[best].total[loop])
			best = i;
	}
	return rounds[best].callee[loop];
}

/*
 * What one of the quickest bytecodes takes longer while the hook is set; 0 where that is noise: all but 3.10 and
 * 3.11.
 */
static double slowdown(const struct round *rounds, bool monitoring)
{
	double bare = SPREAD(rounds, bare, PLAIN).least, total = SPREAD(rounds, total, PLAIN).least;

	return monitoring || total < 1.1 * bare ? 0 : (total - bare) / loops[PLAIN].n_outside;
}

/* What a call in this loop costs. Of the loop's time when it is not recorded, a part is the callee's. */
static struct calib_cost cost_of(const struct round *rounds, enum loop loop, double slow)
{
	struct spread bare = SPREAD(rounds, bare, loop), total = SPREAD(rounds, total, loop);
	double body = SPREAD(rounds, bare, PLAIN).least / loops[PLAIN].n_outside *
		      (loops[loop].n_inside ? loops[loop].n_inside : 1);
	double callee = callee_of(rounds, loop);

	return (struct calib_cost){ .in_s = callee - body - loops[loop].n_inside * slow,
				    .out_s = total.least - callee - (bare.least - body) -
					     loops[loop].n_outside * slow,
				    .spread_s = bare.half_iqr + total.half_iqr };
}

static struct calib_cost minus(struct calib_cost a, struct calib_cost b)
{
	return (struct calib_cost){ .in_s = a.in_s - b.in_s,
				    .out_s = a.out_s - b.out_s,
				    .spread_s = a.spread_s + b.spread_s };
}

/* What code of the size that was measured costs more -> what code of largeness 1 does. */
static struct calib_cost part(struct calib_cost a, double large)
{
	return (struct calib_cost){ .in_s = a.in_s / large,
				    .out_s = a.out_s / large,
				    .spread_s = a.spread_s / large };
}

static void solve(struct calib *c, const struct round *rounds, bool monitoring)
{
	double large = monitoring ? 1 : calib_largeness(monitoring, LARGE_BYTES);
	double slow = slowdown(rounds, monitoring);
	struct calib_cost python = cost_of(rounds, PYTHON, slow), call = cost_of(rounds, C, slow);
	struct calib_cost exception = minus(cost_of(rounds, EXCEPTION, slow), python);

	/* Of bytecodes that take their time: by the others, programs would become shorter than they are. */
	c->bytecode = (SPREAD(rounds, total, WORK).least / SPREAD(rounds, bare, WORK).least +
		       SPREAD(rounds, total, TEXT).least / SPREAD(rounds, bare, TEXT).least) /
		      2;
	c->bytecode = slow > 0 && c->bytecode > 1 ? c->bytecode : 1;
	c->cost[PYPROF_COST_PYTHON] = python;
	c->cost[PYPROF_COST_C] = call;
	exception.in_s += exception.out_s;
	exception.out_s = 0;
	c->cost[PYPROF_COST_EXCEPTION] = exception;
	c->cost[CALIB_RESUME] = minus(cost_of(rounds, RESUME, slow), python);
	c->cost[CALIB_METHOD] = minus(cost_of(rounds, METHOD, slow), call);
	c->cost[CALIB_LARGE] = part(minus(cost_of(rounds, LARGE, slow), python), large);
	c->cost[CALIB_LARGE_SITE] = part(minus(cost_of(rounds, SITE, slow), call), large);
	if (!monitoring)
		return;
	c->cost[PYPROF_COST_BARE] = minus(cost_of(rounds, BARE, slow), python);
	c->cost[CALIB_OTHER] = cost_of(rounds, OTHER, slow);
	c->cost[CALIB_OTHER].out_s += c->cost[CALIB_OTHER].in_s;
	c->cost[CALIB_OTHER].in_s = 0;
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

	for (int i = MIXED; i < run->n_loops && !err; i++)
		program[i - MIXED].known_s = known.cost[i];
	for (int k = 0; k < FIT_UNKNOWNS && !err; k++) {
		struct calib tried = *c;

		fit_add(&tried, k, step_of(k));
		err = apply(run, &tried, &costs);
		for (int i = MIXED; i < run->n_loops && !err; i++)
			program[i - MIXED].by[k] = (costs.cost[i] - known.cost[i]) / step_of(k);
	}
	return err;
}

/* --- telling -------------------------------------------------------------------------------------------- */

static void print(const struct calib *c, int n_programs)
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
	};
	const struct calib_cost *python = &c->cost[PYPROF_COST_PYTHON];

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
	       c->cold * 1e9, PYPROF_MAX_BETWEEN);
	printf("  off by %.1f %% of what recording adds, at the median of %d small programs\n",
	       c->error * 100, n_programs);
	printf("  one number per event: %.4g s\n", calib_bias(c));
	if (python->spread_s > BUSY * (python->in_s + python->out_s))
		puts("  the machine was busy with other things: better calibrate again when it is not");
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

static int run_rounds(struct run *run, struct round *rounds)
{
	bool shows = isatty(2);
	const struct recording_wish raw = { .bias.kind = BIAS_NONE };
	int err = 0;

	for (int i = 0; i < ROUNDS && !err; i++) {
		forget_recording(run);
		if (shows)
			fprintf(stderr, "\rround %d of %d", i + 1, ROUNDS);
		err = run_target(run, false, rounds[i].bare);
		if (!err)
			err = run_target(run, true, rounds[i].total);
		if (!err)
			err = read_recording(run, &raw, &rounds[i]);
	}
	if (shows)
		fputs("\r\033[K", stderr);
	return err;
}

/* The costs of calls in loops of them, then what programs make of these. */
static int work_out(struct run *run, const struct round *rounds, struct calib *c)
{
	bool monitoring = run->source.header.engine == PYPROF_ENGINE_MONITORING;
	struct fit_program program[MAX_LOOPS - MIXED] = { 0 };
	int err;

	c->key = run->source.calib.key;
	c->made = time(NULL);
	solve(c, rounds, monitoring);
	for (int i = MIXED; i < run->n_loops; i++) {
		program[i - MIXED].bare_s = SPREAD(rounds, bare, i).least;
		program[i - MIXED].added_s =
			SPREAD(rounds, total, i).least - program[i - MIXED].bare_s;
	}
	err = find_model(run, c, program);
	if (!err)
		c->error = fit(c, program, run->n_loops - MIXED);
	return err;
}

int calibrate(const struct calibration *c)
{
	struct run run = { .c = c };
	struct round rounds[ROUNDS];
	struct calib result = { .n_calls = c->n_calls, .n_rounds = ROUNDS };
	int err = make_folder(&run);

	if (!err)
		err = run_rounds(&run, rounds);
	if (!err)
		err = work_out(&run, rounds, &result);
	forget_recording(&run);
	remove_folder(&run);
	if (err)
		return err;
	print(&result, run.n_loops - MIXED);
	return keep(&result);
}
