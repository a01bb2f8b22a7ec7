/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "recording.h"

#define ROUNDS 9

#ifndef PYSHIM_LIBDIR
#define PYSHIM_LIBDIR "/usr/local/lib"
#endif

/*
 * Each loop makes calls of one kind, and nothing else that is recorded, N in slices of which the fastest
 * counts: it was disturbed least. Bodies as small as they can be.
 */
static const char program[] =
	"import gc, sys, time\n"
	"from collections import deque\n"
	"def callee_python(): pass\n"
	"def callee_bare(x): pass\n"
	"def callee_resume(r):\n"
	"    for i in r: yield\n"
	"def callee_exception(): raise LookupError\n"
	"def loop_python(r, f):\n"
	"    for i in r: f()\n"
	"def loop_c(r, f):\n"
	"    for i in r: f(r)\n"
	"def loop_method(r, d):\n"
	"    for i in r: d.get(i)\n"
	"def loop_bare(r, f): deque(map(f, r), 0)\n"
	"def loop_resume(r, f):\n"
	"    for i in f(r): pass\n"
	"def loop_exception(r, f):\n"
	"    for i in r:\n"
	"        try: f()\n"
	"        except LookupError: pass\n"
	"def loop_bytecode(r, f):\n"
	"    a = b = 1\n"
	"    for i in r:\n"
	"        a = i + b; c = a; d = c - a\n"
	"        if d: b = c\n"
	"        c = a + d; d = a < c; f = d\n"
	"gc.disable()\n"
	"clock = time.perf_counter_ns\n"
	"r = range(int(sys.argv[1]) // 20)\n"
	"for loop, f in ((loop_python, callee_python), (loop_c, len), (loop_method, {}),\n"
	"                (loop_bare, callee_bare), (loop_resume, callee_resume),\n"
	"                (loop_exception, callee_exception), (loop_bytecode, None)):\n"
	"    times = []\n"
	"    for i in range(20):\n"
	"        t = clock()\n"
	"        loop(r, f)\n"
	"        times.append(clock() - t)\n"
	"    print(min(times), flush=True)\n";

enum loop { PYTHON, C, METHOD, BARE, RESUME, EXCEPTION, BYTECODE, N_LOOPS };

static const char *const loop_name[N_LOOPS] = {
	"loop_python", "loop_c",	 "loop_method",	  "loop_bare",
	"loop_resume", "loop_exception", "loop_bytecode",
};

/* Whose own time tells what lies between the clock readings; NULL: it is not asked for. */
static const char *const callee_name[N_LOOPS] = {
	"callee_python",
	"<built-in method builtins.len>",
	"<method 'get' of 'dict' objects>",
	"callee_bare",
	"callee_resume",
	NULL,
	NULL,
};

struct round {
	double bare[N_LOOPS];  /* seconds a call, of the fastest slice */
	double total[N_LOOPS]; /* ... recorded */
	double share
		[N_LOOPS]; /* of the callee's own time in the loop's, as the recording has them */
};

struct run {
	const struct calibration *c;
	char shim[4096];
	char folder[64]; /* of the recordings */
	struct source source;
};

static int fail(const char *verb, const char *object, const char *found, const char *expected)
{
	fprintf(stderr, "pyshim-read: %s %s: %s, expected %s\n", verb, object, found, expected);
	return -1;
}

/* --- processes ------------------------------------------------------------------------------------------ */

/* Beside this program, or where both are installed. */
static int find_shim(struct run *run)
{
	char here[2048];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - 1);
	const char *const places[] = { "%s/libpyshim.so", "%s/../lib/libpyshim.so",
				       PYSHIM_LIBDIR "/libpyshim.so" };

	here[n < 0 ? 0 : n] = '\0';
	if (strrchr(here, '/'))
		*strrchr(here, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(run->shim, sizeof(run->shim), places[i], here);
		if (!access(run->shim, R_OK) && !strpbrk(run->shim, " :"))
			return 0;
	}
	return fail("find", "libpyshim.so", "it is not beside this program",
		    "it there or in " PYSHIM_LIBDIR ", in a path without spaces and colons");
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
	execlp(run->c->python, run->c->python, "-S", "-E", "-c", program, n_calls, (char *)NULL);
	_exit(127);
}

static int read_times(FILE *from, uint64_t n_calls, double *seconds)
{
	for (int i = 0; i < N_LOOPS; i++) {
		uint64_t ns;

		if (fscanf(from, "%" SCNu64, &ns) != 1)
			return -1;
		seconds[i] = (double)ns * 1e-9 / (double)(n_calls / 20);
	}
	return 0;
}

static int run_target(const struct run *run, bool recorded, double *seconds)
{
	int out[2], status = 0, err = -1;
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
		err = read_times(from, run->c->n_calls, seconds);
	if (from)
		fclose(from);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return err || status ? fail("run", run->c->python, "it did not finish its loops",
				    "a CPython from 3.8 on")
			     : 0;
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

static int read_shares(const struct profile *p, struct round *round)
{
	for (int i = 0; i < N_LOOPS; i++) {
		bool any = false;

		for (size_t k = 0; k < p->n_fns; k++) {
			const struct profile_fn *fn = &p->fn[k];

			if (fn->name.n != strlen(loop_name[i]) ||
			    memcmp(fn->name.bytes, loop_name[i], fn->name.n))
				continue;
			round->share[i] = self_of(fn, p, callee_name[i]) / fn->counts.total_s;
			any = true;
		}
		if (!any)
			return -1;
	}
	return 0;
}

/* The one recording in the folder, which is gone then. */
static int read_recording(struct run *run, struct round *round)
{
	const struct recording_wish raw = { .bias.kind = BIAS_NONE };
	DIR *dir = opendir(run->folder);
	char path[512], error[512] = "";
	const struct dirent *entry;
	struct profile p;
	int err = -ENOENT;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "pyprof.", 7))
			continue;
		snprintf(path, sizeof(path), "%s/%s", run->folder, entry->d_name);
		profile_init(&p);
		memset(&run->source, 0, sizeof(run->source));
		err = recording_read(&run->source, path, &raw, &p, error);
		if (!err && read_shares(&p, round))
			err = -EINVAL;
		profile_fini(&p);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	if (*error)
		fprintf(stderr, "pyshim-read: %s\n", error);
	else if (err)
		fail("calibrate", run->c->python, "no recording of it", "a CPython from 3.8 on");
	return err ? -1 : 0;
}

/* --- solving -------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread {
	double least, median, half_iqr;
};

static struct spread spread_of(const struct round *rounds, size_t offset)
{
	double value[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		value[i] = *(const double *)((const char *)&rounds[i] + offset);
	qsort(value, ROUNDS, sizeof(*value), compare);
	return (struct spread){ value[0], value[ROUNDS / 2],
				(value[ROUNDS * 3 / 4] - value[ROUNDS / 4]) / 2 };
}

#define SPREAD(rounds, what, loop) \
	spread_of(rounds, offsetof(struct round, what) + (loop) * sizeof(double))

/*
 * What a call in this loop costs. Of the loop's time when it is not recorded, `body` is the callee's; all
 * bytecode takes `bytecode` times as long when it is, a C function's body does not.
 */
static struct calib_cost cost_of(const struct round *rounds, enum loop loop, double body,
				 double bytecode)
{
	struct spread bare = SPREAD(rounds, bare, loop), total = SPREAD(rounds, total, loop);
	double callee = SPREAD(rounds, share, loop).median * total.least;
	bool is_c = loop == C || loop == METHOD;

	return (struct calib_cost){ .in_s = callee - body * (is_c ? 1 : bytecode),
				    .out_s = total.least - callee - (bare.least - body) * bytecode,
				    .spread_s = bare.half_iqr + total.half_iqr };
}

static struct calib_cost mean(struct calib_cost a, struct calib_cost b)
{
	return (struct calib_cost){ .in_s = (a.in_s + b.in_s) / 2,
				    .out_s = (a.out_s + b.out_s) / 2,
				    .spread_s = (a.spread_s + b.spread_s) / 2 };
}

static struct calib_cost minus(struct calib_cost a, struct calib_cost b)
{
	return (struct calib_cost){ .in_s = a.in_s - b.in_s,
				    .out_s = a.out_s - b.out_s,
				    .spread_s = a.spread_s + b.spread_s };
}

static void solve(struct calib *c, const struct round *rounds, bool monitoring)
{
	/* loop_bytecode's body has some 24 bytecodes, an empty function two. */
	double body = SPREAD(rounds, bare, BYTECODE).least / 12;
	struct calib_cost python, resume, exception;

	c->bytecode = SPREAD(rounds, total, BYTECODE).least / SPREAD(rounds, bare, BYTECODE).least;
	if (c->bytecode < 1.02)
		c->bytecode = 1;
	python = cost_of(rounds, PYTHON, body, c->bytecode);
	resume = cost_of(rounds, RESUME, body, c->bytecode);
	exception = cost_of(rounds, EXCEPTION, 0, c->bytecode);
	c->cost[PYPROF_COST_PYTHON] = python;
	c->cost[PYPROF_COST_C] = mean(cost_of(rounds, C, body / 2, c->bytecode),
				      cost_of(rounds, METHOD, body / 2, c->bytecode));
	if (monitoring)
		resume = mean(resume, cost_of(rounds, BARE, body, c->bytecode));
	c->cost[PYPROF_COST_BARE] = minus(resume, python);
	exception.in_s = exception.in_s + exception.out_s - python.out_s;
	exception.out_s = python.out_s;
	c->cost[PYPROF_COST_EXCEPTION] = minus(exception, python);
}

/* --- telling -------------------------------------------------------------------------------------------- */

static void print(const struct calib *c)
{
	static const char *const text[CALIB_KINDS] = { "Python function", "C function",
						       "more without a call site, or resumed",
						       "more when left by an exception" };

	printf("CPython %s, %s, clock %s, %s\n", c->key.python, c->key.engine, c->key.clock,
	       c->key.processor);
	printf("nanoseconds a call, of %" PRIu64 " rounds of %" PRIu64 " calls:\n\n", c->n_rounds,
	       c->n_calls);
	printf("  %-38s %8s %8s %8s\n", "", "inside", "outside", "spread");
	for (int i = 0; i < CALIB_KINDS; i++)
		printf("  %-38s %8.1f %8.1f %8.1f\n", text[i], c->cost[i].in_s * 1e9,
		       c->cost[i].out_s * 1e9, c->cost[i].spread_s * 1e9);
	printf("\n  bytecode while recording: %.3f times as long\n", c->bytecode);
	printf("  one number per event: %.4g s\n", calib_bias(c));
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
	int err = 0;

	for (int i = 0; i < ROUNDS && !err; i++) {
		if (shows)
			fprintf(stderr, "\rround %d of %d", i + 1, ROUNDS);
		err = run_target(run, false, rounds[i].bare);
		if (!err)
			err = run_target(run, true, rounds[i].total);
		if (!err)
			err = read_recording(run, &rounds[i]);
	}
	if (shows)
		fputs("\r\033[K", stderr);
	return err;
}

int calibrate(const struct calibration *c)
{
	struct run run = { .c = c, .folder = "/dev/shm/pyshim-calibrate-XXXXXX" };
	struct round rounds[ROUNDS];
	struct calib result = { .n_calls = c->n_calls, .n_rounds = ROUNDS };
	int err = find_shim(&run);

	if (err)
		return err;
	if (!mkdtemp(run.folder))
		return fail("make", run.folder, strerror(errno), "a folder for recordings");
	err = run_rounds(&run, rounds);
	rmdir(run.folder);
	if (err)
		return err;
	solve(&result, rounds, run.source.header.engine == PYPROF_ENGINE_MONITORING);
	result.key = run.source.calib.key;
	result.made = time(NULL);
	print(&result);
	return keep(&result);
}
