# SPDX-License-Identifier: LGPL-2.1-or-later
"""unittest: a suite with all kinds of outcomes, mocks and subtests, run by the text runner."""

import fractions
import io
import textwrap
import unittest
from unittest import mock

Fraction = fractions.Fraction


class Fractions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.halves = [Fraction(n, 2) for n in range(40)]

    def setUp(self):
        self.addCleanup(lambda: None)

    def test_sum(self):
        self.assertEqual(sum(self.halves), Fraction(390))

    def test_order(self):
        for a, b in zip(self.halves, self.halves[1:]):
            with self.subTest(a=a):
                self.assertLess(a, b)
                self.assertAlmostEqual(float(b - a), 0.5)

    def test_zero(self):
        with self.assertRaisesRegex(ZeroDivisionError, "Fraction"):
            Fraction(1, 0)

    @unittest.skip("on purpose")
    def test_skipped(self):
        raise AssertionError

    @unittest.expectedFailure
    def test_expected(self):
        self.assertEqual(Fraction(1, 3), 0.3)


class Wrapping(unittest.TestCase):
    text = textwrap.dedent(textwrap.TextWrapper.__doc__ or "some words to wrap")

    def test_width(self):
        for width in range(20, 60, 5):
            lines = textwrap.wrap(self.text, width)
            self.assertTrue(all(len(line) <= width for line in lines), lines)

    def test_failure(self):
        self.assertMultiLineEqual("a\nb\nc", "a\nB\nc")

    def test_error(self):
        {}["missing"]

    def test_mock(self):
        with mock.patch("textwrap.fill", side_effect=str.upper) as fill:
            self.assertEqual(textwrap.fill("x"), "X")
        fill.assert_called_once_with("x")
        m = mock.MagicMock(spec=io.StringIO)
        m.getvalue.return_value = "text"
        self.assertEqual(m.getvalue(), "text")
        self.assertRaises(AttributeError, getattr, m, "nothing")


loader = unittest.TestLoader()
suite = unittest.TestSuite(map(loader.loadTestsFromTestCase, (Fractions, Wrapping)))
result = unittest.TextTestRunner(io.StringIO(), verbosity=2, buffer=True).run(suite)
print(result.testsRun, len(result.failures), len(result.errors), len(result.skipped))
print(len(result.expectedFailures))
