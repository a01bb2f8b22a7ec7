/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pageguard.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

static uintptr_t range_from, range_to; /* the handler reads them at any instant */
static bool tripped;

static uintptr_t get(const uintptr_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void set(uintptr_t *word, uintptr_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static bool replace_pages(uintptr_t at)
{
	uintptr_t from = at & ~(uintptr_t)(PAGE_BYTES - 1);
	uintptr_t to = get(&range_to);
	int saved = errno;
	void *result;

	if (!to || at < get(&range_from) || at >= to)
		return false;
	result = mmap((void *)from, to - from, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	errno = saved;
	if (result == MAP_FAILED)
		return false;
	__atomic_store_n(&tripped, true, __ATOMIC_RELAXED);
	return true;
}

/* Async-signal-safe. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	(void)context;
	if (info->si_code > 0 && replace_pages((uintptr_t)info->si_addr))
		return;
	sigaction(number, &action, NULL);
	/* A fault comes again when this returns; a signal that was sent does not. */
	if (info->si_code <= 0)
		raise(number);
}

static bool is_ours(void)
{
	struct sigaction now;

	return sigaction(SIGBUS, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO &&
	       now.sa_sigaction == on_bus_error;
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error,
				    .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	struct sigaction now;

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
	    now.sa_handler == SIG_DFL)
		sigaction(SIGBUS, &action, NULL);
}

void pageguard_set(void *base, size_t bytes)
{
	if ((uintptr_t)base == get(&range_from)) {
		set(&range_to, (uintptr_t)base + bytes);
		return;
	}
	set(&range_to, 0); /* none, while the two do not belong together */
	set(&range_from, (uintptr_t)base);
	__atomic_store_n(&tripped, false, __ATOMIC_RELAXED);
	set(&range_to, (uintptr_t)base + bytes);
	if (base)
		install();
}

bool pageguard_has_tripped(void)
{
	return __atomic_load_n(&tripped, __ATOMIC_RELAXED);
}

bool pageguard_touch(uint8_t *from, size_t bytes)
{
	if (!is_ours())
		return false;
	for (size_t i = 0; i < bytes && !pageguard_has_tripped(); i += PAGE_BYTES)
		__atomic_fetch_or(&from[i], 0, __ATOMIC_RELAXED);
	return !pageguard_has_tripped();
}
