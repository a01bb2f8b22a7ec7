/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Distributions that tests of differences need. Pure functions without state; diff/noise.c calls
 * them, from any thread. They must not be used for n_free beyond 10^6.
 */
#ifndef READER_STUDENT_H
#define READER_STUDENT_H

/*
 * Returns the probability that |T| >= |t| for Student's T with `n_free` > 0 degrees of freedom. The
 * relative error is below 10^-9. NAN if t is NAN.
 */
double student_two_sided(double t, double n_free);

/*
 * Returns the quantile of chi-square divided by its degrees of freedom, where `normal` is the same
 * quantile of the normal distribution (0.6745 for 75 %). An approximation (Wilson and Hilferty),
 * within 1 % for quantiles from 50 % on.
 */
double student_chi_square(double normal, double n_free);

#endif
