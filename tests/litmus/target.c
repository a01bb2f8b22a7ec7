/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/hook.h"
#include "engine/setprofile.h"
#include "engine/spawn.h"
#include "engine/takers.h"
#include "python/pyapi.h"
#include "record/clock.h"
#include "record/forkstack.h"
#include "record/names.h"
#include "record/recording.h"
#include "record/region.h"
#include "record/threadname.h"
#include "session/session.h"
#include "session/start.h"
#include "sides.h"
#include "system/config.h"
#include "system/sandbox.h"

static char folder[] = "/dev/shm/pyshim-litmus-XXXXXX";
static char path[320];
static uint32_t running; /* the function, or 0 */
static pthread_mutex_t gil = PTHREAD_MUTEX_INITIALIZER;

/* --- stubs for what needs an interpreter ------------------------------------------------------ */

void threadname_publish_native(uint32_t number)
{
	(void)number;
}

bool threadname_publish_python(uint32_t number)
{
	(void)number;
	return true;
}

void spawn_watch(void)
{
}

void spawn_watch_first(void)
{
}

void spawn_look(void)
{
}

void takers_meet(struct py_method_def *def, PyObject *self)
{
	(void)def;
	(void)self;
}

bool setprofile_is(const struct py_method_def *def)
{
	(void)def;
	return false;
}

void setprofile_meet(struct py_method_def *def, PyObject *self)
{
	(void)def;
	(void)self;
}

void setprofile_called(const struct py_method_def *def)
{
	(void)def;
}

bool sandbox_is_closed(void)
{
	return false;
}

static void do_nothing(void)
{
}

static void *thread_state(void)
{
	static char state[4096];

	return state;
}

static const char *version(void)
{
	return "3.12.0 (litmus)";
}

/* --- a recording ------------------------------------------------------------------------------ */

void target_make_folder(void)
{
	if (!mkdtemp(folder))
		abort();
}

void target_remove_folder(void)
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0); /* fails for . and .., which are folders */
	if (dir)
		closedir(dir);
	rmdir(folder);
}

void target_prepare(void)
{
	snprintf(path, sizeof(path), "%s/pyprof.%d", folder, (int)getpid());
	config = (struct config){ .buffer_bytes = 64 << 10,
				  .dir = folder,
				  .has_dir = true, /* says why there is no recording */
				  .overflow = PYPROF_OVERFLOW_FOLD,
				  .clock = CONFIG_CLOCK_COUNT };
	py.Py_GetVersion = version;
	py.PyThreadState_Get = thread_state;
	recording_upcalls = (struct recording_upcalls){ .open_frames = hook_open_frames,
							.thread_ends = do_nothing,
							.give_up = do_nothing };
	thread_init();
}

void target_record(void)
{
	if (!session_begin(PYPROF_ENGINE_MONITORING))
		abort();
}

void target_begin(uint32_t n_blocks)
{
	target_prepare();
	target_record();
	recording.max_blocks = n_blocks;
}

const char *target_path(void)
{
	return path;
}

void target_put(unsigned kind, uint32_t fn)
{
	hook_put(kind, fn << PYPROF_FN_SHIFT, clock_event(), false, NULL);
}

void target_pause(void)
{
	clock_continue(1ull << (PYPROF_TICK_BITS + 1));
}

bool target_is_within_block(void)
{
	const struct thread_self *s = &thread_self;

	return s->block->record <= s->next && s->next <= s->stop && s->stop <= s->end;
}

static bool is_full(void)
{
	return thread_self.next && thread_self.next == thread_self.end;
}

void target_fill(uint32_t fn, uint32_t n_fns)
{
	uint32_t n = 0;

	do {
		if (running) {
			target_put(PYPROF_RETURN, running);
			running = 0;
		} else {
			running = fn + n++ % n_fns;
			target_put(PYPROF_CALL, running);
		}
	} while (!is_full());
}

void target_fill_with_gaps(void)
{
	do
		target_put(PYPROF_BLIND, 0);
	while (!is_full());
}

void target_be_another(void)
{
	memset(&thread_self, 0, sizeof(thread_self));
	thread_self.n_restarts = recording.n_restarts;
}

void target_name(uint32_t number, uint32_t bytes)
{
	char *text = calloc(1, bytes);
	struct label_entry e = { .kind = PYPROF_NAME_CODE,
				 .number = number,
				 .line = 1,
				 .file = { "file", 4 },
				 .name = { text, bytes },
				 .qualname = { "", 0 } };

	if (!text || !names_publish(&e))
		abort();
	free(text);
}

void target_use_counter(void)
{
	recording.clock = region.header->clock = PYPROF_CLOCK_TSC;
}

void target_put_until_pair(void)
{
	do
		target_put(PYPROF_CALL, 1);
	while (thread_self.next != thread_self.stop);
}

uint32_t target_find_frames(void)
{
	struct forkstack f;
	uint32_t n;

	forkstack_take(&f);
	n = (uint32_t)f.n;
	forkstack_free(&f);
	return n;
}

void target_take_gil(void)
{
	pthread_mutex_lock(&gil);
}

void target_drop_gil(void)
{
	pthread_mutex_unlock(&gil);
}
