/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pyprof/clock.h"
#include "pyprof/order.h"
#include "pyprof/process.h"
#include "python/pyapi.h"
#include "record/blocks.h"
#include "record/clock.h"
#include "record/family.h"
#include "record/filename.h"
#include "record/forkstack.h"
#include "record/intern.h"
#include "record/names.h"
#include "record/pageguard.h"
#include "record/recording.h"
#include "record/region.h"
#include "record/thread.h"
#include "system/config.h"
#include "system/log.h"
#include "system/process.h"
#include "system/sandbox.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

static uint32_t choose_clock(void)
{
	switch (config.clock) {
	case CONFIG_CLOCK_CPU:
		return PYPROF_CLOCK_CPU;
	case CONFIG_CLOCK_THREAD:
		return PYPROF_CLOCK_THREAD;
	case CONFIG_CLOCK_COUNT:
		return PYPROF_CLOCK_COUNT;
	case CONFIG_CLOCK_WALL:
		break;
	}
	if (pyprof_tsc_invariant())
		return PYPROF_CLOCK_TSC;
	log_debug("the processor's counter is not invariant: CLOCK_MONOTONIC instead");
	return PYPROF_CLOCK_WALL;
}

/*
 * Sets the approximate overhead of each kind of call, in nanoseconds. Only the ratios matter: the
 * absolute overhead comes from the calibration. Also sets the limits for reuse distance and idle
 * ticks. Measured as in docs/overhead.md.
 */
static void set_cost_weights(struct pyprof_header *h)
{
	static const int32_t monitoring[] = { 48, 36, -21, 15 };
	static const int32_t tracefunc_38[] = { 18, 13, 10, 5 };
	static const int32_t tracefunc_310[] = { 30, 18, 10, 5 };
	static const int32_t tracefunc_311[] = { 75, 43, 10, 10 };
	bool monitored = recording.engine == PYPROF_ENGINE_MONITORING;

	h->max_distance =
		monitored ? PYPROF_MAX_DISTANCE_MONITORING : PYPROF_MAX_DISTANCE_TRACEFUNC;
	h->max_idle = monitored ? PYPROF_MAX_IDLE_MONITORING : PYPROF_MAX_IDLE_TRACEFUNC;
	memcpy(h->overhead_weight,
	       monitored		? monitoring
	       : py.version >= 0x030b00 ? tracefunc_311
	       : py.version >= 0x030a00 ? tracefunc_310
					: tracefunc_38,
	       sizeof(monitoring));
}

/* The header of the next recording. Static because the stack may be small. */
static struct pyprof_header own;

/*
 * Fills the fields that describe this process. A forked child that continues another recording
 * changes these only.
 */
static void describe_process(bool forked)
{
	struct process_self self;

	process_describe(&self, forked);
	own.parent_pid = (uint32_t)self.parent;
	own.uid = (uint32_t)getuid();
	own.process_start = self.start;
	own.pid_namespace = self.pid_namespace;
	own.pid = (uint32_t)self.pid;
	own.forked = forked;
}

static void describe(struct pyprof_header *h)
{
	size_t n;

	h->major = PYPROF_MAJOR;
	h->minor = PYPROF_MINOR;
	h->header_bytes = PYPROF_HEADER_BYTES;
	h->block_bytes = REGION_BLOCK_BYTES;
	h->clock = recording.clock;
	h->engine = recording.engine;
	h->overflow = (uint32_t)config.overflow;
	h->builtins = config.builtins;
	h->buffer_bytes = config.buffer_bytes;
	set_cost_weights(h);
	h->has_bias = config.has_bias;
	h->bias_ps = config.bias_ps;
	n = process_read(PYPROF_BOOT_ID_FILE, h->boot_id, sizeof(h->boot_id) - 1);
	while (n && h->boot_id[n - 1] == '\n')
		h->boot_id[--n] = '\0';
	h->cmdline_bytes =
		(uint32_t)process_read("/proc/self/cmdline", h->cmdline, sizeof(h->cmdline));
	snprintf(h->python, sizeof(h->python), "%s", py.Py_GetVersion());
	snprintf(h->shim, sizeof(h->shim), "pyshim %s", PYSHIM_VERSION);
}

static void start_empty(void)
{
	blocks_reset();
	thread_reset();
}

/* Makes a recording. A forked child's header equals its parent's, except for the process. */
static bool create(bool forked)
{
	if (!own.major)
		describe(&own);
	pyprof_clock_pair(&own.start_ticks, &own.start_mono_ns);
	own.start_realtime_ns = pyprof_clock_ns(CLOCK_REALTIME);
	if (region_create(&own) < 0)
		return false;
	region.header->pid_namespace = own.pid_namespace;
	clock_first_pair(&region.header->load_ticks, &region.header->load_mono_ns);
	filename_note_former(region.header);
	start_empty();
	if (!forked)
		names_reset();
	return true;
}

/* --- forked children -------------------------------------------------------------------------- */

/*
 * Makes the recording that of this process. `process_start` is 0 meanwhile, so that readers never
 * see fields of two processes as one.
 */
static void take_header(void)
{
	struct pyprof_header *h = region.header;

	__atomic_store_n(&h->process_start, 0, __ATOMIC_RELAXED);
	h->parent_pid = own.parent_pid;
	h->uid = own.uid;
	h->forked = 1;
	h->end_ticks = h->paused_ticks = h->is_paused = 0;
	h->pid_namespace = own.pid_namespace;
	h->pid = own.pid;
	pyprof_set(&h->n_processes, (h->n_processes ? h->n_processes : 1) + 1);
	__atomic_store_n(&h->process_start, own.process_start, __ATOMIC_RELAXED);
}

/* The data that a forked child has from its parent. */
static struct {
	struct region region;
	struct family_numbers numbers;
	bool whole; /* the tables were consistent at the fork */
} parent;

static bool renumbered;		   /* it cannot continue its parent's numbers ... */
static struct intern_origin event; /* ... then this is the function of the current event */

/* Describes the function of the current event by the parent's tables and names. */
static void describe_event(void)
{
	uint8_t *base = region.base;

	event = (struct intern_origin){ 0 };
	if (!parent.whole || !parent.region.aside || !recording_event_fn)
		return;
	region.base = parent.region.aside;
	intern_describe(recording_event_fn >> PYPROF_FN_SHIFT, &event);
	region.base = base;
}

static bool forget_numbers(void)
{
	describe_event();
	renumbered = true;
	return intern_reset();
}

/* Continues the recording of an ended process of the family. */
static bool adopt(void)
{
	struct region r = { 0 };
	bool shared;
	int err;

	if (!family_take(&r, own.pid_namespace, &parent.numbers, &shared))
		return false;
	r.pid = (int)own.pid;
	r.process_start = own.process_start;
	err = region_adopt(&r, &own);
	if (!err) {
		start_empty();
		if (((parent.whole && shared) || forget_numbers()) && intern_adopt() &&
		    thread_adopt()) {
			take_header();
			return true;
		}
		region_unmap(&region);
		parent.whole = false; /* the numbers are a mixture of both now */
		err = -EINVAL;
	}
	log_debug("continue in %s: %s", r.path, strerror(-err));
	family_refuse();
	return false;
}

/* Begins a recording of its own, with the parent's numbers if they can be copied. */
static bool begin_own(void)
{
	if (!create(true))
		return false;
	if (parent.whole && parent.region.aside && names_inherit(parent.region.aside) &&
	    !pageguard_has_tripped()) {
		intern_inherited();
		return true;
	}
	parent.whole = false;
	names_reset();
	parent.numbers = (struct family_numbers){ 0 };
	return forget_numbers();
}

static void take_parent(void)
{
	parent.region = region;
	parent.numbers.owner = PYPROF_CONSUMER(region.pid, region.process_start);
	parent.numbers.n = intern_count();
	if (region.base) /* not needed any more, and the next one is mapped there */
		munmap(region.base, region.map_bytes);
	pageguard_set(NULL, 0); /* the next one may have the same address */
	region.base = region.aside = parent.region.base = NULL;
	region.header = NULL;
}

static void leave_parent(bool ok)
{
	struct pyprof_header *h = (struct pyprof_header *)parent.region.aside;

	if (!ok && h)
		__atomic_fetch_add(&h->n_lost_children, 1, __ATOMIC_RELAXED);
	region_unmap(&parent.region);
}

bool session_begin_in_child(void)
{
	int saved = errno;
	bool ok;

	recording.state = RECORDING_OFF;
	if (!config.fork_follow || sandbox_is_closed())
		return false;
	take_parent();
	describe_process(true);
	renumbered = false;
	ok = adopt() || begin_own();
	leave_parent(ok);
	if (ok) {
		region_open_for_readers();
		family_join(true, own.pid_namespace, &parent.numbers);
		recording.state = RECORDING_ON;
		recording.n_restarts++;
		if (recording_event_fn && renumbered)
			recording_event_fn = intern_frame(&event) & ~INTERN_FLAGS;
		log_debug("recording a forked child into %s", region.path);
	}
	errno = saved;
	return ok;
}

/* --- beginning -------------------------------------------------------------------------------- */

/* Interpreters with their own GIL may change this at the same time. */
static uint64_t n_subinterpreters;

static void publish_subinterpreters(uint64_t n)
{
	__atomic_fetch_add(&region.header->n_subinterpreters, n, __ATOMIC_RELAXED);
}

void session_note_subinterpreter(void)
{
	uint64_t n = __atomic_add_fetch(&n_subinterpreters, 1, __ATOMIC_RELAXED);

	if (n == 1)
		log_debug("a subinterpreter is not recorded");
	if (recording.state == RECORDING_ON || recording.state == RECORDING_PAUSED)
		publish_subinterpreters(1);
}

bool session_begin(uint32_t engine)
{
	int saved = errno;
	bool ok;

	if (recording.state == RECORDING_ON)
		return true;
	if (recording.state == RECORDING_OFF)
		return false;
	if (recording.state == RECORDING_FORKED)
		return session_begin_in_child();
	if (recording.state == RECORDING_PAUSED) {
		recording.state = RECORDING_ON;
		return true;
	}
	recording.engine = engine;
	recording.clock = choose_clock();
	ok = !sandbox_is_closed();
	if (ok)
		describe_process(false);
	ok = ok && create(false);
	if (ok) {
		region_open_for_readers();
		family_open();
		family_join(false, own.pid_namespace, &parent.numbers);
		log_debug("recording %s into %s", py.Py_GetVersion(), region.path);
	}
	recording.state = ok ? RECORDING_ON : RECORDING_OFF;
	if (ok)
		publish_subinterpreters(__atomic_load_n(&n_subinterpreters, __ATOMIC_RELAXED));
	errno = saved;
	return ok;
}

/*
 * The number of unfinished forks of this thread: a signal handler may fork while the handlers of
 * another fork run.
 */
static __thread unsigned n_forking __attribute__((tls_model("initial-exec")));
static __thread bool is_whole __attribute__((tls_model("initial-exec")));

void session_before_fork(void)
{
	uint64_t entered;

	if (n_forking++)
		return;
	/* Otherwise another thread may be changing the tables, or this thread its ring. */
	is_whole = !thread_is_slow() && pyapi_thread_holding_gil();
	if (!is_whole || recording.state != RECORDING_ON || !config.fork_follow ||
	    !thread_ring_of_self())
		return;
	entered = thread_slow_enter();
	process_is_filtered(); /* the child then knows the answer */
	forkstack_take(&forkstack_born);
	thread_slow_leave(entered);
}

void session_after_fork(void)
{
	if (--n_forking == 0)
		forkstack_free(&forkstack_born);
}

void session_forked(void)
{
	n_forking = 0;
	if (recording.state != RECORDING_ON && recording.state != RECORDING_PAUSED)
		return;
	recording.state = RECORDING_FORKED;
	parent.whole = is_whole;
	family_forked();
	if (!sandbox_is_closed())
		region_detach();
	n_subinterpreters = 0; /* a child has no subinterpreters */
	thread_reset();
}

void session_fork_was_missed(void)
{
	is_whole = true; /* this thread runs Python, and is in no slow path */
	session_forked();
}
