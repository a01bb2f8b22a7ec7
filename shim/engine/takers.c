/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "takers.h"

#include <string.h>

#include "profilehook.h"
#include "record/intern.h"
#include "setprofile.h"

#define N_TAKERS 32

/*
 * The type of any C function that a PyMethodDef can have: it has at most five arguments of the size
 * of a pointer, which are passed in registers. A function does not see those that it does not have.
 */
typedef void *(*method)(void *, void *, void *, void *, void *);

static struct taker {
	const struct py_method_def *def;
	method real;
} taker[N_TAKERS];

static unsigned n_takers;

static void *call_real(unsigned i, void *a, void *b, void *c, void *d, void *e)
{
	void *result = taker[i].real(a, b, c, d, e);

	if (profilehook_wanted())
		profilehook_look(PROFILEHOOK_IN_CALL);
	return result;
}

#define THROUGH(n)                                                            \
	static void *through_##n(void *a, void *b, void *c, void *d, void *e) \
	{                                                                     \
		return call_real(n, a, b, c, d, e);                           \
	}
/* clang-format off */
#define ALL(F) \
	F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15) \
	F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23) F(24) F(25) F(26) F(27) F(28) F(29) F(30) F(31)
/* clang-format on */

ALL(THROUGH)

#define NAME(n) through_##n,
static const method through[N_TAKERS] = { ALL(NAME) };

/*
 * Returns the taker with this def, or N_TAKERS. Its address may have belonged to another function
 * before.
 */
static unsigned find(const struct py_method_def *def)
{
	for (unsigned i = 0; i < n_takers; i++) {
		if (taker[i].def == def && def->ml_meth == (void *)through[i])
			return i;
	}
	return N_TAKERS;
}

static void call_through_us(struct py_method_def *def)
{
	if (n_takers == N_TAKERS || find(def) < N_TAKERS)
		return;
	taker[n_takers].def = def;
	taker[n_takers].real = (method)def->ml_meth;
	def->ml_meth = (void *)through[n_takers];
	n_takers++;
}

/*
 * True for the names of _lsprof.Profiler, yappi and pyinstrument. For sys.setprofile see
 * setprofile.c.
 */
static bool has_a_takers_name(const struct py_method_def *def)
{
	static const char *const names[] = { "enable", "disable", "start",	   "stop",
					     "begin",  "profile", "setstatprofile" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(def->ml_name, names[i]))
			return true;
	}
	return false;
}

void takers_meet(struct py_method_def *def, PyObject *self)
{
	struct py_method_def *kin;

	if (!profilehook_wanted() || !has_a_takers_name(def))
		return;
	call_through_us(def);
	kin = pyapi_methods_around(def, self);
	for (; kin && kin->ml_name; kin++) {
		if (has_a_takers_name(kin))
			call_through_us(kin);
	}
}

void takers_learn(uint32_t fn)
{
	struct py_method_def *def = fn ? intern_c_def(fn) : NULL;

	if (!def || setprofile_is(def))
		return;
	call_through_us(def);
	intern_c_changed(def);
}
