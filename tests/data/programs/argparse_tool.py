# SPDX-License-Identifier: LGPL-2.1-or-later
"""argparse: a command with sub-commands, groups and types; right and wrong lines, help pages."""

import argparse
import contextlib
import io


class Pairs(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, dict(v.split("=", 1) for v in values))


def positive(text):
    n = int(text)
    if n <= 0:
        raise argparse.ArgumentTypeError("%d is not positive" % n)
    return n


def build():
    parser = argparse.ArgumentParser("tool", description="Does it. " * 20, epilog="That is all.")
    parser.add_argument("-v", "--verbose", action="count", default=0)
    parser.add_argument("--version", action="version", version="%(prog)s 1.0")
    sub = parser.add_subparsers(dest="command", title="commands")
    for name in ("build", "test", "deploy"):
        p = sub.add_parser(name, aliases=[name[0]], help="the %s command" % name)
        p.add_argument("-j", "--jobs", type=positive, default=1, metavar="N", help="%(default)s")
        p.add_argument("-D", dest="define", nargs="+", action=Pairs, metavar="K=V")
        p.add_argument("--mode", choices=["fast", "safe"], default="safe")
        how = p.add_mutually_exclusive_group()
        how.add_argument("--quiet", action="store_true")
        how.add_argument("--loud", action="store_true")
        p.add_argument("target", nargs="*")
        p.set_defaults(run=name.upper)
    return parser


LINES = (
    "build -j4 a b c",
    "-vv test --mode fast --quiet x",
    "deploy -D a=1 b=2 --mode=safe -- y",
    "b --jobs=2",
    "build -j0",
    "build --mode odd",
    "test --quiet --loud",
    "unknown",
    "--version",
    "build -h",
    "",
)
done, statuses, shown = [], [], io.StringIO()
with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
    for _ in range(3):
        for line in LINES:
            parser = build()
            try:
                args = parser.parse_args(line.split())
                done.append(args.run() if args.command else None)
            except SystemExit as e:
                statuses.append(e.code)
    build().print_help()
print(done, statuses, len(shown.getvalue()) > 1000)
