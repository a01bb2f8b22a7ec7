/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pageguard.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

/* The address ranges, which the handler reads at any instant; `to` is 0 if there is no range. */
static struct range {
	uintptr_t from, to;
} own, aside;
static bool tripped;

static uintptr_t get(const uintptr_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void set(uintptr_t *word, uintptr_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static bool replace_pages(const struct range *r, uintptr_t at)
{
	uintptr_t from = at & ~(uintptr_t)(PAGE_BYTES - 1);
	uintptr_t to = get(&r->to);
	int saved = errno;
	void *result;

	if (!to || at < get(&r->from) || at >= to)
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
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)context;
	if (info->si_code > 0 && (replace_pages(&own, at) || replace_pages(&aside, at)))
		return;
	sigaction(number, &action, NULL);
	/* A fault happens again when this returns; a signal that was sent does not. */
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

static void set_range(struct range *r, void *base, size_t bytes)
{
	set(&r->to, 0); /* no range while `from` and `to` do not belong together */
	set(&r->from, (uintptr_t)base);
	set(&r->to, (uintptr_t)base + bytes);
}

void pageguard_set(void *base, size_t bytes)
{
	if ((uintptr_t)base == get(&own.from)) {
		set(&own.to, (uintptr_t)base + bytes);
		return;
	}
	set_range(&own, NULL, 0);
	__atomic_store_n(&tripped, false, __ATOMIC_RELAXED);
	set_range(&own, base, bytes);
	if (base)
		install();
}

void pageguard_set_aside(void *base, size_t bytes)
{
	set_range(&aside, base, base ? bytes : 0);
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
