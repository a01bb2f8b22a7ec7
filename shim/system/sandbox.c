/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

static bool closed;

bool sandbox_is_closed(void)
{
	return __atomic_load_n(&closed, __ATOMIC_RELAXED);
}

void sandbox_close(void)
{
	__atomic_store_n(&closed, true, __ATOMIC_RELAXED);
}
