/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "student.h"

#include <math.h>

#define MOST_STEPS 1000
#define PRECISION 1e-13

/* A step of the modified method of Lentz: multiplies the value of a continued fraction. */
struct fraction {
	double c, d, value;
};

static double step(struct fraction *f, double term)
{
	f->d = 1 / (1 + term * f->d);
	f->c = 1 + term / f->c;
	f->value *= f->c * f->d;
	return f->c * f->d;
}

/* The continued fraction of the incomplete beta function. It converges where x < (a+1)/(a+b+2). */
static double beta_fraction(double a, double b, double x)
{
	double first = 1 / (1 - (a + b) * x / (a + 1));
	struct fraction f = { .c = 1, .d = first, .value = first };

	for (int m = 1; m < MOST_STEPS; m++) {
		double last;

		step(&f, m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)));
		last = step(&f, -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)));
		if (fabs(last - 1) < PRECISION)
			break;
	}
	return f.value;
}

/* The regularised incomplete beta function. */
static double beta(double a, double b, double x)
{
	double front;

	if (x <= 0 || x >= 1)
		return x > 0;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(a, b, x) / a;
	return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_two_sided(double t, double n_free)
{
	return isnan(t) ? t : beta(n_free / 2, 0.5, n_free / (n_free + t * t));
}

double student_chi_square(double normal, double n_free)
{
	double part = 2 / (9 * n_free);

	return pow(1 - part + normal * sqrt(part), 3);
}
