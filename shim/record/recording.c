/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recording.h"

#include "region.h"
#include "system/log.h"
#include "system/process.h"

struct recording recording;
struct recording_upcalls recording_upcalls;

__thread uint32_t recording_event_fn
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

bool recording_ready(void)
{
	if (recording.state == RECORDING_FORKED)
		recording_upcalls.begin_in_child();
	return recording.state == RECORDING_ON;
}

void recording_check_process(void)
{
	if (recording.state == RECORDING_ON && process_is_foreign(region.pid))
		recording_upcalls.fork_was_missed();
}

void recording_is_damaged(const char *what)
{
	log_debug("%s: found %s: off", region.path, what);
	recording.state = RECORDING_OFF;
}
