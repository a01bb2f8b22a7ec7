/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibrate.h"
#include "pyprof/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/places.h"
#include "fit.h"
#include "load/recording.h"
#include "machine.h"
#include "recording/runfolder.h"
#include "slices.h"
#include "solve.h"

#define MANY_CALLS 20000 /* times of fewer calls are mostly noise, also in more rounds */

/* The text of program.py, as a string. The path is relative to the root of the sources. */
__asm__(".pushsection .rodata\n"
	"program_text: .incbin \"reader/calibrate/program.py\"\n"
	".byte 0\n"
	".popsection\n");
extern const char program_text[] __asm__("program_text");

struct run {
	const struct calibrate_request *c;
	char *folder; /* for the recordings */
	char *shim;   /* a link to libpyshim.so in it */
	int n_loops;  /* that program.py has run; 0 before the first process */
	struct source source;
	struct slices slices;
	struct rounds rounds;
	struct calibration_quality quality;
};

static int fail(const char *verb, const char *object, const char *found, const char *expected)
{
	fprintf(stderr, "pyshim-read: %s %s: %s, expected %s\n", verb, object, found, expected);
	return -1;
}

/* --- processes -------------------------------------------------------------------------------- */

/*
 * Makes a folder for recordings, with a link to the shim. The link's path has no blanks or colons,
 * at which LD_PRELOAD is split.
 */
static int make_folder(struct run *run)
{
	char *shim = places_find("libpyshim.so");
	int err = shim ? 0 : -1;

	if (err)
		return fail("find", "libpyshim.so",
			    "found none beside this program and in its LIBDIR",
			    "it where `make` or `make install` puts it");
	run->folder = runfolder_make("/dev/shm");
	if (!run->folder)
		err = fail("make", "a folder in /dev/shm", strerror(errno),
			   "a folder for recordings");
	else if (!(run->shim = runfolder_link(run->folder, shim)))
		err = fail("link", run->folder, strerror(errno), "a name for libpyshim.so");
	free(shim);
	return err;
}

static void remove_folder(struct run *run)
{
	if (run->folder)
		runfolder_remove(run->folder);
	free(run->shim);
	free(run->folder);
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
	execlp(run->c->python, run->c->python, "-S", "-E", "-Wignore", "-c", program_text, n_calls,
	       (char *)NULL);
	_exit(127);
}

/* Reads the lines that program.py prints. Returns the number of loops. */
static int read_slices(FILE *from, uint64_t n_calls, struct slices_run *to)
{
	unsigned loop, k;
	uint64_t elapsed, cpu, n_switches, reference, n_running;
	int n_loops = 0;

	while (fscanf(from, "%u %u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &loop,
		      &k, &elapsed, &cpu, &n_switches, &reference, &n_running) == 7 &&
	       loop < MAX_LOOPS && k < SLICES_MAX) {
		to->at[loop][k] = (struct slice){ .elapsed_s = (double)elapsed * 1e-9,
						  .cpu_s = (double)cpu * 1e-9,
						  .n_switches = n_switches,
						  .reference_s = (double)reference * 1e-9,
						  .n_running = n_running };
		to->at[loop][k].total_s =
			to->at[loop][k].elapsed_s / (double)(n_calls / SLICES_MAX);
		n_loops = (int)loop < n_loops ? n_loops : (int)loop + 1;
	}
	return n_loops;
}

/* Runs program.py, and reads its lines while it runs. Returns the number of loops. */
static int run_process(const struct run *run, bool recorded, struct slices_run *to, int *status)
{
	int out[2], n_loops = 0;
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
		n_loops = read_slices(from, run->c->n_calls, to);
	if (from)
		fclose(from);
	if (pid > 0)
		waitpid(pid, status, 0);
	return n_loops;
}

/* Processor time of this process and of its children that have ended, in seconds. */
static double own_time(void)
{
	struct rusage used[2];
	double s = 0;

	getrusage(RUSAGE_SELF, &used[0]);
	getrusage(RUSAGE_CHILDREN, &used[1]);
	for (int i = 0; i < 2; i++) {
		s += (double)(used[i].ru_utime.tv_sec + used[i].ru_stime.tv_sec);
		s += (double)(used[i].ru_utime.tv_usec + used[i].ru_stime.tv_usec) * 1e-6;
	}
	return s;
}

static int run_target(struct run *run, bool recorded, struct slices_run *to)
{
	struct machine_time before, after;
	double own_s = own_time();
	int n_loops, status = 0;

	machine_read(&before);
	n_loops = run_process(run, recorded, to, &status);
	machine_read(&after);
	to->load = machine_compare(&before, &after, own_time() - own_s);
	if (status || n_loops <= LOOP_MIXED || (run->n_loops && n_loops != run->n_loops))
		return fail("run", run->c->python, "it did not finish its loops",
			    "a CPython from 3.8 on");
	run->n_loops = n_loops;
	return 0;
}

/* --- recordings ------------------------------------------------------------------------------- */

/* Self time of `callee` where the loop called it, in seconds. 0: it did not, or callee is NULL. */
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

/* Parses a name like "loop_c 3" to loop and slice. -1: the function is not a loop. */
static int loop_of(const struct profile_fn *fn, int n_loops, unsigned *slice)
{
	char text[64], name[64];
	int loop;

	snprintf(text, sizeof(text), "%.*s", fn->name.n < 63 ? (int)fn->name.n : 63,
		 (const char *)fn->name.bytes);
	if (sscanf(text, "mixed_%d %u", &loop, slice) == 2)
		return *slice < SLICES_MAX && loop >= 0 && loop < n_loops - LOOP_MIXED
			       ? LOOP_MIXED + loop
			       : -1;
	if (sscanf(text, "%63s %u", name, slice) != 2 || *slice >= SLICES_MAX)
		return -1;
	for (loop = 0; loop < LOOP_MIXED; loop++) {
		if (!strcmp(name, loop_facts[loop].name))
			return loop;
	}
	return -1;
}

/* Reads times of slices: each has its own function name. -1: the profile lacks a loop. */
static int read_loops(const struct run *run, const struct profile *p, struct slices_run *to)
{
	double n_calls = (double)(run->c->n_calls / SLICES_MAX);
	bool found[MAX_LOOPS] = { 0 };
	unsigned k;

	for (size_t i = 0; i < p->n_fns; i++) {
		const struct profile_fn *fn = &p->fn[i];
		int loop = loop_of(fn, run->n_loops, &k);

		if (loop < 0)
			continue;
		found[loop] = true;
		to->at[loop][k].total_s =
			(fn->counts.total_s + fn->counts.total_overhead_s) / n_calls;
		to->at[loop][k].overhead_s = fn->counts.total_overhead_s / n_calls;
		if (loop < LOOP_MIXED)
			to->at[loop][k].callee_s =
				self_of(fn, p, loop_facts[loop].callee) / n_calls;
	}
	for (int i = 0; i < run->n_loops; i++) {
		if (!found[i])
			return -1;
	}
	return 0;
}

/* Path of the only recording in the folder. 0 or -ENOENT. */
static int find_recording(const struct run *run, char *path, size_t cap)
{
	DIR *dir = opendir(run->folder);
	const struct dirent *entry;
	int err = -ENOENT;

	while (dir && (entry = readdir(dir))) {
		if (!pyprof_is_file_name(entry->d_name))
			continue;
		snprintf(path, cap, "%s/%s", run->folder, entry->d_name);
		err = 0;
	}
	if (dir)
		closedir(dir);
	return err;
}

static int read_recording(struct run *run, const struct request *q, struct slices_run *to)
{
	struct error error = { "" };
	char path[512];
	struct profile p;
	int err = find_recording(run, path, sizeof(path));

	profile_init(&p);
	memset(&run->source, 0, sizeof(run->source));
	if (!err)
		err = recording_read(&run->source, path, q, &p, NULL, &error);
	if (!err && read_loops(run, &p, to))
		err = -EINVAL;
	profile_fini(&p);
	if (*error.text)
		fprintf(stderr, "pyshim-read: %s\n", error.text);
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

/* --- fitting to programs ---------------------------------------------------------------------- */

/* Reads the recording of the last round again, with this calibration: sets overhead_s of slices. */
static int read_corrected(struct run *run, const struct calibration *c, struct slices_run *costs)
{
	char path[128];
	struct request q = { .bias = REQUEST_BIAS_FILE, .bias_file = path };
	int err;

	snprintf(path, sizeof(path), "%s/costs", run->folder);
	err = calibration_save(c, path);
	if (err)
		fail("write", path, strerror(-err), "space for a calibration");
	else
		err = read_recording(run, &q, costs);
	unlink(path);
	return err ? -1 : 0;
}

/* Seconds. So small that no time becomes less than its overhead: the correction stops at 0. */
static double step_of(int unknown)
{
	return unknown == FIT_COLD ? 1e-11 : 1e-9;
}

static double overhead_of(const struct slices_run *costs, int loop)
{
	const struct slice *s = slices_fastest(costs, loop);

	return s ? s->overhead_s : 0;
}

/*
 * Evaluates the model for each mixed program: with the overhead so far (`known_s`), and its
 * derivative with respect to each unknown (`by`), by a small step.
 */
static int find_model(struct run *run, const struct calibration *c, struct fit_program *program)
{
	struct slices_run known = run->slices.run[run->slices.n_rounds - 1][SLICES_RECORDED];
	struct slices_run costs = known;
	int err = read_corrected(run, c, &known);

	for (int i = LOOP_MIXED; i < run->n_loops && !err; i++)
		program[i - LOOP_MIXED].known_s = overhead_of(&known, i);
	for (int k = 0; k < FIT_UNKNOWNS && !err; k++) {
		struct calibration tried = *c;

		fit_add(&tried, k, step_of(k));
		err = read_corrected(run, &tried, &costs);
		for (int i = LOOP_MIXED; i < run->n_loops && !err; i++)
			program[i - LOOP_MIXED].by[k] =
				(overhead_of(&costs, i) - overhead_of(&known, i)) / step_of(k);
	}
	return err;
}

/* --- printing and keeping --------------------------------------------------------------------- */

static double part_of(uint64_t n, const struct calibration_quality *q)
{
	return q->n_slices ? (double)n / (double)q->n_slices : 0;
}

static void print_quality(const struct calibration_quality *q, uint64_t n_rounds)
{
	printf("  calibrated: %" PRIu64
	       " rounds, %.0f %% of slices disturbed by other work: %.0f %% waited, "
	       "%.0f %% slower, %.0f %% crowded\n",
	       n_rounds, calibration_disturbed(q) * 100, part_of(q->n_waited, q) * 100,
	       part_of(q->n_slower, q) * 100, part_of(q->n_crowded, q) * 100);
}

static void print(const struct run *run, const struct calibration *c, double distance)
{
	printf("CPython %s, %s, clock %s, %s\n", c->key.python, c->key.engine, c->key.clock,
	       c->key.processor);
	printf("nanoseconds a call, of %" PRIu64 " rounds of %" PRIu64 " calls:\n\n", c->n_rounds,
	       c->n_calls);
	printf("  %-38s %8s %8s %8s\n", "", "inside", "outside", "spread");
	for (int i = 0; i < OVERHEAD_KINDS; i++)
		printf("  %-38s %8.1f %8.1f %8.1f\n", overhead_kind[i].title,
		       c->overhead[i].in_s * 1e9, c->overhead[i].out_s * 1e9,
		       c->overhead[i].spread_s * 1e9);
	printf("\n  bytecode while recording: %.3f times as long\n", c->bytecode);
	printf("  more for each event since the last call of its kind: %.3f, of at most %u\n",
	       c->cold * 1e9, run->source.header.max_distance);
	printf("  off by %.1f %% of what recording adds, at the median of %d small programs\n",
	       c->error * 100, run->n_loops - LOOP_MIXED);
	printf("  one number per event: %.4g s\n", calibration_bias(c));
	print_quality(&c->quality, c->n_rounds);
	if (distance > SOLVE_UNREST)
		printf("  the fastest rounds differ by %.1f %%: better calibrate again %s\n",
		       distance * 100,
		       c->n_calls < MANY_CALLS ? "with more calls"
					       : "when the machine is less busy with other things");
}

static int write_kept(const struct calibration *c, const char *path)
{
	int err = path ? calibration_save(c, path) : -ENOENT;

	if (err)
		return fail("keep", path ? path : "the calibration", strerror(-err),
			    "a folder below XDG_CONFIG_HOME or HOME that can be written to");
	printf("  kept in %s\n", path);
	return 0;
}

static int refuse(const struct run *run, const char *path)
{
	const struct calibration_quality *q = &run->quality;
	struct calibration kept;
	double load = 0;

	getloadavg(&load, 1);
	fprintf(stderr,
		"pyshim-read: keep the calibration: %.0f %% of its slices were disturbed by other work and "
		"%d rounds undisturbed (load %.1f, steal %.0f %%, throttled %.0f %%), "
		"expected at most %.0f %% and at least %d: calibrate again when this machine is quiet, or add --keep-anyway%s\n",
		calibration_disturbed(q) * 100, run->rounds.n_fewest, load, q->steal * 100,
		q->throttled * 100, SLICES_MOST_DISTURBED * 100, SOLVE_ENOUGH,
		path && !calibration_load(&kept, path) ? "; the one that was kept before stays"
						       : "");
	return -1;
}

static int keep(const struct run *run, const struct calibration *c)
{
	char *path = calibration_path(&c->key);
	int err;

	if (c->quality.trusted || run->c->keep_anyway)
		err = write_kept(c, path);
	else
		err = refuse(run, path);
	free(path);
	return err;
}

static int run_round(struct run *run)
{
	const struct request raw = { .bias = REQUEST_BIAS_NONE };
	struct slices_run *side = run->slices.run[run->slices.n_rounds];
	int err;

	forget_recording(run);
	err = run_target(run, false, &side[SLICES_BARE]);
	if (!err)
		err = run_target(run, true, &side[SLICES_RECORDED]);
	if (!err)
		err = read_recording(run, &raw, &side[SLICES_RECORDED]);
	run->slices.n_rounds++;
	run->slices.n_loops = run->n_loops;
	return err;
}

/* reference_s of the calibration that is kept, if it is trusted, else 0. */
static double known_reference(const struct run *run)
{
	char *path = calibration_path(&run->source.calibration.key);
	struct calibration kept;
	double s = 0;

	if (path && !calibration_load(&kept, path) && kept.quality.trusted)
		s = kept.quality.reference_s;
	free(path);
	return s;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Runs more rounds while the machine is busy with other work, up to a limit. */
static int run_rounds(struct run *run)
{
	bool shows = isatty(2);
	int most = run->c->n_calls < MANY_CALLS ? SOLVE_ROUNDS : SOLVE_MAX_ROUNDS;
	double begun = now(), own_s = own_time();
	struct rounds *r = &run->rounds;
	int err = 0, n;

	while (!err && r->n < (n = solve_rounds(r, most))) {
		if (r->n % SOLVE_FASTEST == 0 &&
		    slices_are_late(r->n, now() - begun, own_time() - own_s))
			break;
		if (shows)
			fprintf(stderr, "\rround %d of %d", r->n + 1, n);
		err = run_round(run);
		r->n = run->slices.n_rounds;
		if (!err && r->n >= SOLVE_ROUNDS && r->n % SOLVE_FASTEST == 0)
			slices_select(&run->slices, known_reference(run), r, &run->quality);
	}
	if (shows)
		fputs("\r\033[K", stderr);
	return err;
}

/* Estimates the overhead from the loops, then fits it to the programs. */
static int work_out(struct run *run, struct calibration *c)
{
	bool monitoring = run->source.header.engine == PYPROF_ENGINE_MONITORING;
	struct fit_program program[MAX_LOOPS - LOOP_MIXED] = { 0 };
	const struct rounds *r = &run->rounds;
	int err;

	c->key = run->source.calibration.key;
	c->made = time(NULL);
	c->n_rounds = (uint64_t)r->n;
	c->quality = run->quality;
	solve(c, r, monitoring);
	for (int i = LOOP_MIXED; i < run->n_loops; i++) {
		double native = solve_native(r, i);

		program[i - LOOP_MIXED].native_s = native;
		program[i - LOOP_MIXED].added_s = solve_total(r, i) - native;
	}
	err = find_model(run, c, program);
	if (!err)
		c->error = fit(c, monitoring, program, run->n_loops - LOOP_MIXED);
	return err;
}

int calibrate(const struct calibrate_request *c)
{
	static struct run run; /* megabytes */
	struct calibration result = { .n_calls = c->n_calls };
	int err;

	run.c = c;
	run.slices.n_processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
	err = make_folder(&run);
	if (!err)
		err = run_rounds(&run);
	if (!err)
		err = work_out(&run, &result);
	forget_recording(&run);
	remove_folder(&run);
	if (err)
		return err;
	print(&run, &result, solve_unrest(&run.rounds));
	return keep(&run, &result);
}
