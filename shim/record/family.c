/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "family.h"

#include <string.h>
#include <sys/mman.h>

#include "pyprof/order.h"
#include "region.h"
#include "system/process.h"

#define N_SLOTS 1024u
#define MAX_ENDED 64u		      /* recordings of ended processes that are kept unused ... */
#define MAX_ENDED_BYTES (64ull << 20) /* ... and their total size */
#define MAX_LOOKS 4u		      /* existing processes that one fork looks up in /proc */

enum slot_state { SLOT_FREE, SLOT_USED, SLOT_ENDED, SLOT_TAKEN };

/* A recording. The process that it belongs to writes all fields, except `state`. */
struct slot {
	uint32_t state; /* enum slot_state; by compare-and-swap */
	uint32_t forked;
	uint64_t owner; /* PYPROF_CONSUMER() */
	uint64_t pid_namespace;
	uint64_t device, inode;
	struct region_size size;
	struct family_numbers numbers;
	char path[128];
};

struct family {
	uint32_t n_used; /* slots from this one on were never used */
	uint32_t next_look;
	struct slot slot[N_SLOTS];
};

static struct family *family;
static struct slot *own;

static bool change(struct slot *s, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&s->state, &from, to, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

static uint32_t state_of(const struct slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_RELAXED);
}

void family_open(void)
{
	void *at = mmap(NULL, sizeof(*family), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);

	family = at == MAP_FAILED ? NULL : at;
}

/* --- the own slot ----------------------------------------------------------------------------- */

static struct slot *find_free(void)
{
	uint32_t n = __atomic_load_n(&family->n_used, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < N_SLOTS; i++) {
		struct slot *s = &family->slot[i];

		if (state_of(s) == SLOT_FREE && change(s, SLOT_FREE, SLOT_TAKEN)) {
			while (i >= n &&
			       !__atomic_compare_exchange_n(&family->n_used, &n, i + 1, false,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
				;
			return s;
		}
	}
	return NULL;
}

void family_join(bool forked, uint64_t pid_namespace, const struct family_numbers *numbers)
{
	bool is_new = !own;

	if (!family || strlen(region.path) >= sizeof(own->path))
		return;
	if (!own)
		own = find_free();
	if (!own)
		return;
	own->owner = PYPROF_CONSUMER(region.pid, region.process_start);
	own->pid_namespace = pid_namespace;
	own->forked = forked;
	if (is_new)
		own->numbers = *numbers;
	own->device = region.device;
	own->inode = region.inode;
	strcpy(own->path, region.path); /* it fits: checked above */
	region.published = &own->size;
	region_publish_size();
	__atomic_store_n(&own->state, SLOT_USED, __ATOMIC_RELAXED);
}

/* --- those of ended processes ----------------------------------------------------------------- */

/*
 * True if the slot's process has ended. Asks kill(2) first, and /proc only if a process with this
 * PID exists, because reading /proc takes longer.
 */
static bool has_ended(const struct slot *s, uint64_t here, uint32_t *n_looks)
{
	pid_t pid = (pid_t)(s->owner >> 32);

	if (s->pid_namespace != here || !here)
		return false;
	if (process_is_gone(pid))
		return true;
	if (!*n_looks)
		return false;
	--*n_looks;
	return process_has_ended(pid, (uint32_t)s->owner);
}

static bool shares(const struct slot *s, const struct family_numbers *numbers)
{
	return s->numbers.owner == numbers->owner && s->numbers.n == numbers->n;
}

/*
 * True if `s` should be continued before `than`: if it shares the numbers, or else is larger. A
 * larger one has fuller rings, and so the others do not grow.
 */
static bool is_better(const struct slot *s, const struct slot *than,
		      const struct family_numbers *numbers)
{
	if (!than || shares(s, numbers) != shares(than, numbers))
		return !than || shares(s, numbers);
	return pyprof_get(&s->size.used_bytes) > pyprof_get(&than->size.used_bytes);
}

/*
 * Returns the best recording of an ended process, or NULL if there are too few of them. Starts
 * behind the place where the last look started.
 */
static struct slot *find_ended(uint64_t here, const struct family_numbers *numbers)
{
	uint32_t n = __atomic_load_n(&family->n_used, __ATOMIC_RELAXED);
	uint32_t first = __atomic_fetch_add(&family->next_look, 1, __ATOMIC_RELAXED);
	uint32_t n_ended = 0, n_looks = MAX_LOOKS;
	uint64_t bytes = 0;
	struct slot *best = NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct slot *s = &family->slot[(first + i) % n];

		if (state_of(s) == SLOT_USED && s->forked && has_ended(s, here, &n_looks))
			change(s, SLOT_USED, SLOT_ENDED);
		if (state_of(s) != SLOT_ENDED)
			continue;
		n_ended++;
		bytes += pyprof_get(&s->size.used_bytes);
		if (is_better(s, best, numbers))
			best = s;
	}
	return n_ended >= MAX_ENDED || bytes >= MAX_ENDED_BYTES ? best : NULL;
}

void family_forked(void)
{
	own = NULL;
	region.published = NULL;
}

bool family_take(struct region *r, uint64_t pid_namespace, const struct family_numbers *numbers,
		 bool *shared)
{
	struct slot *s;

	if (!family)
		return false;
	for (int tries = 0; tries < 8 && (s = find_ended(pid_namespace, numbers)); tries++) {
		if (!change(s, SLOT_ENDED, SLOT_TAKEN))
			continue;
		own = s;
		*shared = shares(s, numbers);
		r->device = s->device;
		r->inode = s->inode;
		r->length = s->size.length;
		r->reserved_bytes = s->size.reserved_bytes;
		r->used_bytes = s->size.used_bytes;
		memcpy(r->path, s->path, sizeof(s->path));
		return true;
	}
	return false;
}

void family_refuse(void)
{
	if (own)
		__atomic_store_n(&own->state, SLOT_FREE, __ATOMIC_RELAXED);
	own = NULL;
}
