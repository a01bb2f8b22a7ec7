/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recording.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "filename.h"
#include "intern.h"
#include "log.h"
#include "names.h"
#include "process.h"
#include "pyapi.h"
#include "pyprof/clock.h"
#include "pyprof/ring.h"
#include "region.h"
#include "sandbox.h"
#include "thread.h"

#ifndef PYSHIM_VERSION
#define PYSHIM_VERSION "unknown"
#endif

#define BLOCK_BYTES (16u << 10)
#define MIN_BLOCKS 4u
#define BLOCKS_BEYOND 4096u

struct recording recording;

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
 * About what a call of each kind costs, in nanoseconds: shares only, the reader knows the cost; and what counts of
 * the events and of the time before one. Measured as in docs/internals.md.
 */
static void weigh_costs(struct pyprof_header *h)
{
	static const int32_t monitoring[] = { 48, 36, -21, 15 };
	static const int32_t tracefunc_38[] = { 18, 13, 10, 5 };
	static const int32_t tracefunc_310[] = { 30, 18, 10, 5 };
	static const int32_t tracefunc_311[] = { 75, 43, 10, 10 };
	bool monitored = recording.engine == PYPROF_ENGINE_MONITORING;

	h->max_between = monitored ? PYPROF_MAX_BETWEEN_MONITORING : PYPROF_MAX_BETWEEN_TRACEFUNC;
	h->max_gap = monitored ? PYPROF_MAX_GAP_MONITORING : PYPROF_MAX_GAP_TRACEFUNC;
	memcpy(h->cost_weight,
	       monitored		? monitoring
	       : py.version >= 0x030b00 ? tracefunc_311
	       : py.version >= 0x030a00 ? tracefunc_310
					: tracefunc_38,
	       sizeof(monitoring));
}

static void describe(struct pyprof_header *h)
{
	pid_t pid, parent;
	size_t n;

	h->major = PYPROF_MAJOR;
	h->minor = PYPROF_MINOR;
	h->header_bytes = PYPROF_HEADER_BYTES;
	h->block_bytes = BLOCK_BYTES;
	process_ids(&pid, &parent);
	h->pid = (uint32_t)pid;
	h->parent_pid = (uint32_t)parent;
	h->uid = (uint32_t)getuid();
	h->process_start = process_start(0); /* of a PID it would be another's, where /proc is */
	h->pid_namespace = process_pid_namespace();
	h->clock = recording.clock;
	h->engine = recording.engine;
	h->overflow = (uint32_t)config.overflow;
	h->builtins = config.builtins;
	h->buffer_bytes = config.buffer_bytes;
	weigh_costs(h);
	h->has_bias = config.has_bias;
	h->bias_ps = config.bias_ps;
	n = process_read("/proc/sys/kernel/random/boot_id", h->boot_id, sizeof(h->boot_id) - 1);
	while (n && h->boot_id[n - 1] == '\n')
		h->boot_id[--n] = '\0';
	h->cmdline_bytes =
		(uint32_t)process_read("/proc/self/cmdline", h->cmdline, sizeof(h->cmdline));
	snprintf(h->python, sizeof(h->python), "%s", py.Py_GetVersion());
	snprintf(h->shim, sizeof(h->shim), "pyshim %s", PYSHIM_VERSION);
	pyprof_clock_pair(&h->start_ticks, &h->start_mono_ns);
	h->start_realtime_ns = pyprof_clock_ns(CLOCK_REALTIME);
}

static bool create(bool forked)
{
	struct pyprof_header h = { .forked = forked };

	describe(&h);
	if (region_create(&h) < 0)
		return false;
	region.header->pid_namespace = h.pid_namespace;
	filename_note_former(region.header);
	recording.n_blocks = 0;
	recording.max_blocks = (uint32_t)(config.buffer_bytes / BLOCK_BYTES);
	if (recording.max_blocks < MIN_BLOCKS)
		recording.max_blocks = MIN_BLOCKS;
	names_reset();
	thread_reset();
	return true;
}

static bool begin_in_child(void)
{
	struct region parent = region;
	int saved = errno;
	bool ok;

	recording.state = RECORDING_OFF;
	if (!config.fork_follow || sandbox_is_closed())
		return false;
	ok = create(true);
	if (ok) {
		ok = intern_republish(parent.base);
		region_unmap(&parent);
	}
	if (ok) {
		region_open_for_readers();
		recording.state = RECORDING_ON;
		recording.n_restarts++;
		log_debug("recording a forked child into %s", region.path);
	}
	errno = saved;
	return ok;
}

/* Interpreters with a GIL of their own come by here at the same time. */
static uint64_t n_subinterpreters;

static void publish_subinterpreters(void)
{
	pyprof_set(&region.header->n_subinterpreters,
		   __atomic_load_n(&n_subinterpreters, __ATOMIC_RELAXED));
}

void recording_note_subinterpreter(void)
{
	uint64_t n = __atomic_add_fetch(&n_subinterpreters, 1, __ATOMIC_RELAXED);

	if (n == 1)
		log_debug("a subinterpreter is not recorded");
	if (recording.state == RECORDING_ON || recording.state == RECORDING_PAUSED)
		publish_subinterpreters();
}

bool recording_begin(uint32_t engine)
{
	int saved = errno;
	bool ok;

	if (recording.state == RECORDING_ON)
		return true;
	if (recording.state == RECORDING_OFF)
		return false;
	if (recording.state == RECORDING_FORKED)
		return begin_in_child();
	if (recording.state == RECORDING_PAUSED) {
		recording.state = RECORDING_ON;
		return true;
	}
	recording.engine = engine;
	recording.clock = choose_clock();
	ok = !sandbox_is_closed() && create(false);
	if (ok) {
		region_open_for_readers();
		log_debug("recording %s into %s", py.Py_GetVersion(), region.path);
	}
	recording.state = ok ? RECORDING_ON : RECORDING_OFF;
	if (ok)
		publish_subinterpreters();
	errno = saved;
	return ok;
}

bool recording_ready(void)
{
	if (recording.state == RECORDING_FORKED)
		begin_in_child();
	return recording.state == RECORDING_ON;
}

void recording_before_fork(void)
{
	uint64_t entered;

	if (recording.state != RECORDING_ON || !config.fork_follow || !thread_ring_of_self())
		return;
	entered = thread_slow_enter();
	forkstack_take(&recording.forkstack);
	thread_slow_leave(entered);
}

void recording_after_fork(void)
{
	forkstack_free(&recording.forkstack);
}

void recording_forked(void)
{
	if (recording.state != RECORDING_ON && recording.state != RECORDING_PAUSED)
		return;
	recording.state = RECORDING_FORKED;
	n_subinterpreters = 0; /* a child has none */
	thread_reset();
}

static uint64_t add_block(bool spare)
{
	uint64_t offset = spare ? region_alloc_spare(BLOCK_BYTES) : region_alloc(BLOCK_BYTES);

	recording.n_blocks += offset != 0;
	return offset;
}

uint64_t recording_block(uint32_t n_owned, enum pyprof_loss *cause)
{
	uint64_t offset;

	if (recording.n_blocks >= recording.max_blocks && n_owned >= 2) {
		*cause = PYPROF_LOST_BUDGET;
		return 0;
	}
	offset = add_block(n_owned >= 2);
	if (!offset)
		*cause = PYPROF_LOST_STORAGE;
	return offset;
}

uint64_t recording_block_beyond(void)
{
	return recording.n_blocks < recording.max_blocks + BLOCKS_BEYOND ? add_block(true) : 0;
}
