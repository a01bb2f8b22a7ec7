# SPDX-License-Identifier: LGPL-2.1-or-later
"""pyshim-read --browse prints the same as `python -m pstats`, including the greeting, for scripts
of commands from a pipe. Some scripts use every command with good, missing and bad arguments; others
are random. On a terminal it has history and completion.
"""

import marshal
import os
import pty
import random
import re
import select
import signal
import termios
import time

import pytest

from conftest import DATA, PYTHONS, READER, read, run_bare
from test_pstats_identity import CHAINS, MADE, WORDS, abbreviations, difference

ENV = {"PYTHONIOENCODING": "utf-8:backslashreplace", "TZ": "Europe/Berlin", "TERM": "xterm",
       "PYTHONWARNINGS": "ignore"}
WITH_EVERYTHING = """\
import threading
def work(n):
    for i in range(n): yield i
def bad():
    raise ValueError
def run():
    sum(work(9)); sorted([1, 2], key=lambda n: -n); (lambda: 1)(); (lambda: 2)()
    try: bad()
    except ValueError: pass
run()
t = threading.Thread(target=run, name="other"); t.start(); t.join()
"""
GREETING = b"Welcome to the profile statistics browser.\n"
COMMANDS = "EOF add callees callers help quit read reverse sort stats strip".split()
# File names are typed unquoted: with blanks, quotes, digits, multi-byte characters.
NAMES = {"odd names": "it's \"odd\".prof", "ties": "t i e s", "same without folders": "b/same",
         "counts": "c%s", "top level": "12.5", "one": "\u00e9\U0001f40d.prof",
         "large and small": "a", "rounded": "r1", "rounded off": "--r2"}
TIMES = [0, 86400 * 8 + 3723, 1700000000.75, 1720000000, 951782400, 4102444799]

VALUES = {  # marshalled values that are not statistics
    "empty": {}, "list": [1], "empty list": [], "int": 5, "zero": 0, "none": None, "true": True,
    "false": False, "float": 1.5, "str": "x", "empty str": "", "bytes": b"xx", "tuple": (1,),
    "set": {1}, "frozenset": frozenset([2]), "complex": 1j,
    "3 numbers": {("a", 1, "b"): (1, 2, 3)}, "6 numbers": {("a", 1, "b"): (1, 2, 3, 4, {}, 6)},
    "a number": {("a", 1, "b"): 7}, "callers": {("a", 1, "b"): (1, 2, 3.0, 4.0, 5)},
    "2 names": {("a", 1): (1, 2, 3.0, 4.0, {})}, "1 name": {"a": (1, 2, 3.0, 4.0, {})},
    "second": {("a", 1, "b"): (1, 2, 3.0, 4.0, {}), ("a", 2, "b"): (1, 2)},
}
TEXTS = {"text": b"hello\n", "words": b"this is no profile\n", "import": b"import x\n",
         "from": b"from x import y\n", "def": b"def f(): pass\n", "html": b"<html>\n", "no": b"",
         "elf": b"\x7fELF\2\1\1", "json": b'{"a": 1}\n', "brace": b"{", "class": b"class A:\n",
         "reference": b"r\0\0\0\0", "newline": b"\n", "tuple size": b"(\xff\xff\xff\xff",
         "list size": b"[\0\0\0\x80", "set size": b"<\0\0\0\x80", "text size": b"{s\xff\xff\xff\xff",
         "digit": b"l\1\0\0\0\xff\xff"}


def programs(folder):
    """Profiles of real programs, by the oldest and the newest interpreter."""
    for python, program in (PYTHONS[0], "json_roundtrip"), (PYTHONS[-1], "difflib_report"):
        done = run_bare([python.exe, "-m", "cProfile", "-o", folder / (program + ".prof"),
                         DATA / "programs" / (program + ".py")], cwd=folder)
        assert done.status == 0, done
        yield program + ".prof"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder of profiles and of other files."""
    folder = tmp_path_factory.mktemp("browse")
    (folder / "b").mkdir()
    (folder / "closed").mkdir()
    for name, path in NAMES.items():
        (folder / path).write_bytes(marshal.dumps(MADE[name]))
    for name, value in VALUES.items():
        (folder / ("value " + name)).write_bytes(marshal.dumps(value))
    for name, text in TEXTS.items():
        (folder / ("text " + name)).write_bytes(text)
    whole = marshal.dumps(MADE["same without folders"])
    for n in range(0, 400, 7):
        (folder / ("cut %d" % n)).write_bytes(whole[:n])
    list(programs(folder))
    for n, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, (0, TIMES[n % len(TIMES)]))
    return folder


def profiles_of(here):
    return [*NAMES.values(), "json_roundtrip.prof", "difflib_report.prof"]


def compare(python, here, script, *args):
    """Runs both with the same standard input. Returns the output of Python's browser."""
    script = script if isinstance(script, bytes) else script.encode()
    ours = run_bare([READER, "--browse", "--", *args], input=script, env=ENV, cwd=here)
    theirs = run_bare([python.exe, "-m", "pstats", *args], input=script, env=ENV, cwd=here)
    assert (theirs.status, theirs.err) == (0, b""), theirs.err[-2000:]
    assert (ours.status, ours.err) == (0, b""), ours.err[-2000:]
    printed, expected = ours.out, theirs.out
    if python.version < (3, 12):  # some versions say "object expected" for some truncated values
        printed, expected = (t.replace(b"where object expected", b"where not expected")
                          for t in (printed, expected))
    if python.version >= (3, 14):  # ours says more about the file
        expected = re.sub(rb"(too many values to unpack \(expected \d+), got \d+\)", rb"\1)", expected)
        expected = expected.replace(b"is not a container or iterable", b"is not iterable")
    assert not difference(printed, expected), difference(printed, expected)
    assert GREETING in ours.out
    return ours.out


def differs_in_3_15(python, here, name):
    """Returns true for values that 3.15 handles differently: it accepts an empty dictionary, looks
    into others for its sampler's mark, and does not name the file.
    """
    if python.version < (3, 15) or name in profiles_of(here):
        return False
    try:
        marshal.loads((here / name).read_bytes())
    except (OSError, EOFError, ValueError, TypeError):
        return False
    return True


# Written scripts

NOTHING_LOADED = """\
stats
stats 1.5 -3 x
callers
callees .5
reverse
sort
sort time
sort nonsense
strip
add a
read
read no such file
read b
read closed
"""
EVERYTHING = r"""
help
?
? add
?read
?   sort
help help
help EOF
help nothing
help add and more
help 1
help do_add
h
!
!ls
stat
Stats
stats2
stats_
123
123 456
=
stats,3
stats(3)
stats-1

.
help quit
help callees

read
sort
sort time
sort time calls name
sort   time    calls  
stats 5
reverse
stats 5
reverse

stats 5
sort bogus
sort time bogus
sort -1
sort 2
sort time 1
sort TIME
sort c
sort t
sort cum
sort cu
sort n
sort nfl p s l
reverse x y z
callers 3
callees 3
stats 1_0
stats +3
stats 1__0 _1 1_ 
stats 00
stats 0.5 0.5
stats .5 5. 1.0 1.5 -0.0 -0 1e-1 1E0 1_0e-2 1.5e+1 1.e-1 .e1 e1 .
stats nan inf -inf +nan NaN INFINITY infinit
stats 0x10 nan(1) 0b1 1j
stats 99999999999999999999999999 -99999999999999999999999
stats ( [ *
stats f 3 ( 0.5
stats \.py:\d+\( 2
callers f
callees (?i)F 0.9
callers it's " \'
strip
stats 4
callers 4
sort module line
strip now
stats 4
callees 4
add no such file
add it's no "file"
add
add b
add b/
add a
stats 3
callees 9
read no such file
read b
stats 3
read
stats 3
   stats    2   
EOF2
"""


def test_commands_without_a_profile_equal_pstats(python, here):
    out = compare(python, here, NOTHING_LOADED)
    assert out.count(b"No statistics object is loaded.\n") == 10
    for first in "", "no such file", "b", "text words":
        compare(python, here, NOTHING_LOADED, first, "a", "a")


@pytest.mark.parametrize("name", ["a", "12.5", "b/same", "difflib_report.prof"])
def test_every_command_equals_pstats(python, here, name):
    out = compare(python, here, EVERYTHING, name)
    assert out.count(b"\n") > 100
    for command in COMMANDS:
        assert command in EVERYTHING


def test_add_resets_the_order_but_not_the_callees(python, here):
    """`add` resets the order. Callees printed before it are still printed after it."""
    out = compare(python, here, """\
callees
sort time
add json_roundtrip.prof
callees
stats 5
add difflib_report.prof
callees
reverse
strip
callees
add b/same
callees nothing is called so
read b/same
callees nothing is called so
add 12.5
callees
add one
callees
""", "difflib_report.prof")
    assert out.count(b"Random listing order was used") == 7 and b"internal time" not in out


def test_several_profiles_are_added_in_order(python, here):
    for names in ["r1", "--r2", "--r2"], ["t i e s", "b/same", "12.5"], ["a", "nothing", "one", "a"]:
        compare(python, here, "stats\nsort time\nstats\ncallers\ncallees\n", *names)


def test_odd_command_lines_equal_pstats(python, here):
    """Lines with all kinds of blanks, NUL, carriage returns, escapes, and a long line."""
    compare(python, here, b"\tstats\v3\f\x1c2\x1f\r\nstats\0 3\nst\0ats\nsort ti\0me\nsort\x85time\n"
            b"stats \xe2\x80\x83 2\xc2\xa01\xe3\x80\x80\n\xe3\x80\x80callers 1\xc2\x85\n"
            b"\x1b[Astats\n\x01\x04\n?\0\nread a\0b\nread \0\n\r\n \r \n\xe2\x80\x8bstats\n"
            b"stats \xc3\xa9|\xf0\x9f\x90\x8d\nstats " + b"x" * 10000 + b"\nfoo " + b"y " * 50000
            + b"\n" + b" " * 70000 + b"stats 1\n", "a")


@pytest.mark.parametrize("end", ["", "quit", "quit\n", "quit now\nstats\n", "EOF", "EOF\nstats\n",
                                 "EOF x\nstats", "stats 1\n\n\nEOF\n", "stats 1", "\n", "quit\0",
                                 "foo\n\nhelp\n\nquit", "?\n\n\n", "!x\n\n", "? add\n\n1\n\n"])
def test_ends_of_input_and_empty_lines_equal_pstats(python, here, end):
    compare(python, here, end, "a")
    compare(python, here, end)


def test_unreadable_files_keep_the_loaded_profile(python, here):
    """The errors equal those of pstats, and the previous profile stays loaded."""
    names = [p.name for p in here.iterdir() if p.name.startswith(("value", "text", "cut"))]
    names = [name for name in names if not differs_in_3_15(python, here, name)]
    names += ["/dev/null", ".", "b", "b/nothing", "/nonexistent/x", "a/b", "x" * 300]
    script = "".join("read %s\n" % name for name in sorted(names))
    out = compare(python, here, script + "stats 1\nread\nadd no file\nadd %s\nstats 1\n" % ("y" * 300),
                  "t i e s")
    for words in (b"EOFError: EOF read where not expected", b"EOFError: EOF read where object expected",
                  b"ValueError: bad marshal data (unknown type code)", b"Is a directory",
                  b"File name too long", b"Not a directory"):
        assert words in out
    for words in (b"TypeError: Cannot create or construct a <class '__main__.Stats'> object from ",
                  b"Invalid timing data"):
        assert (words in out) == (python.version < (3, 15))


# Random scripts

def random_name(rng, here):
    if rng.random() < 0.25:
        return rng.choice(["", "no file", "b", "text json", "value none", "cut 70", "value empty"])
    return rng.choice(profiles_of(here))


def random_terms(rng):
    if rng.random() < 0.3:
        text = "".join(rng.choice("0123456789.e-+_") for _ in range(rng.randrange(1, 6)))
        return text.replace("++", "+")  # re accepts possessive repeats from 3.11 on
    chain = rng.choice(CHAINS)
    text = " ".join(str(term) for term in chain)
    return text.replace("\n", " ")


def random_keys(rng):
    short, refused = abbreviations()
    keys = rng.choice([WORDS, short, WORDS, short, refused, ["0", "-1", "x", "Time", ""]])
    return " ".join(rng.choice(keys) for _ in range(rng.choice((1, 1, 2, 3))))


def random_command(rng, here):
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(["stats", "callers", "callees"]) + " " + random_terms(rng)
    if kind < 0.5:
        return "sort " + random_keys(rng)
    if kind < 0.6:
        return "read " + random_name(rng, here)
    if kind < 0.68:  # another file than a profile ends Python's browser
        return "add " + rng.choice([*profiles_of(here), "no file", "b", ""])
    if kind < 0.78:
        return rng.choice(["reverse", "strip", "reverse", "sort", "read"])
    if kind < 0.86:
        return ""
    if kind < 0.93:
        return rng.choice(["help ", "?", "? "]) + rng.choice([*COMMANDS, "x", "", "add x"])
    return "".join(rng.choice("!?. \tsatdreb1_=") for _ in range(rng.randrange(6)))



def random_script(seed, here):
    rng = random.Random(seed)
    lines = [random_command(rng, here) for _ in range(200)]
    return [random_name(rng, here) or "a"] + lines


@pytest.mark.parametrize("seed", range(8))
def test_random_scripts_equal_pstats(python, here, seed):
    first, *lines = random_script("%s %d" % (python.tag, seed), here)
    lines = [line for line in lines if line.strip() not in ("EOF", "quit")
             and not differs_in_3_15(python, here, line.strip().partition(" ")[2])]
    compare(python, here, "\n".join(lines), "a" if differs_in_3_15(python, here, first) else first)


# Differences from Python's browser

def test_adding_an_unreadable_file_ends_with_status_1(python, here):
    """Python's browser ends with a traceback when another file is added. Ours prints a line and
    ends with status 1.
    """
    for name, words in (("text words", "EOFError: EOF read where not expected"),
                        ("value int", "AttributeError: 'int' object has no attribute 'items'")):
        if differs_in_3_15(python, here, name):
            continue
        script = ("stats 1\nadd %s\nstats 1\n" % name).encode()
        ours = run_bare([READER, "--browse", "a"], input=script, env=ENV, cwd=here)
        theirs = run_bare([python.exe, "-m", "pstats", "a"], input=script, env=ENV, cwd=here)
        assert (ours.status, theirs.status) == (1, 1)
        assert ours.out == theirs.out
        assert ours.err.decode() == "pyshim-read: add %s: %s\n" % (name, words)
        assert theirs.err.decode().endswith(words + "\n")


def test_a_recording_equals_its_pstats_file(python, here, run_shim, tmp_path):
    """A recording gives the same output as its pstats file, by path and by PID, except for the file
    names.
    """
    recording = run_shim([python.exe, "-c", "import os; print(os.getpid())\n"
                          "def f(n): return n and f(n - 1)\nfor i in range(9): f(i)\n"],
                         env={"PYSHIM_CLOCK": "cpu"})
    pid, path = recording.out.decode().strip(), recording.recording
    converted = tmp_path / "converted"
    read("-o", converted, path)
    def transcript(command, source):
        """Returns the output with the same file names and dates."""
        script = "sort ncalls\nstats\ncallers f\nadd %s\ncallees\nstats\nquit\n" % source
        done = run_bare([*command, source], env={**ENV, "PYSHIM_DIR": str(path.parent)},
                        input=script.encode())
        assert (done.status, done.err) == (0, b"")
        printed = re.sub(r"(?m)... ... .\d \d\d:\d\d:\d\d \d{4}    .*$", "FILE", done.out.decode())
        return printed.replace("%s%% " % source, "% ")

    theirs = transcript([python.exe, "-m", "pstats"], converted)
    assert theirs.count("FILE") == 3 and theirs.count("(f)") >= 4
    for source in path, pid:
        ours = transcript([READER, "--browse", "-q"], source)
        assert not difference(ours, theirs), difference(ours, theirs)
    loud = run_bare([READER, "--browse", str(path)], input=b"stats\n", env=ENV)
    assert loud.out.index(b"process %s" % pid.encode()) < loud.out.index(GREETING)


@pytest.mark.parametrize("options", [
    ["--exceptions"], ["--no-subcalls"], ["--no-builtins"], ["--by-code"], ["--true-calls"],
    ["--thread", "other"], ["--thread", "MainThread", "--no-builtins", "--exceptions"],
], ids=" ".join)
def test_counting_options_equal_those_of_reports(python, run_shim, options):
    """The tables equal those of reports with the same options."""
    recording = run_shim([python.exe, "-c", WITH_EVERYTHING], env={"PYSHIM_CLOCK": "cpu"}).recording
    script = b"sort cumulative\nstats\ncallers\nadd %s\nstats\nquit\n" % bytes(recording)
    done = run_bare([READER, "--browse", "-q", *options, recording], input=script, env=ENV)
    assert (done.status, done.err) == (0, b"")
    table = read("-q", *options, recording).out
    assert table != read("-q", recording).out or "--no-subcalls" in options
    callers = read("-q", "--callers", *options, recording).out
    assert done.out.count(table) == 1 and done.out.count(callers) == 1
    twice = read("-q", "-s", "stdname", *options, recording, recording).out
    assert twice.splitlines()[0] in done.out.splitlines()


def test_an_unknown_thread_is_an_error(here, run_shim):
    recording = run_shim([PYTHONS[0].exe, "-c", ""]).recording
    done = run_bare([READER, "--browse", "-q", "--thread", "9", recording], input=b"stats\n", env=ENV)
    assert done.status == 0 and done.out.splitlines()[0] == (
        b"read --thread: found no thread '9', expected the native id, the #number or the name of "
        b"one (see --threads)")


def test_report_options_are_refused_with_browse(here):
    for option in ["-s", "time"], ["-r", "3"], ["--reverse"], ["--strip-dirs"], ["-o", "x"], \
            ["-f", "text"], ["--callers"], ["--check"], ["--strict"], ["--threads"], ["--each"]:
        done = run_bare([READER, "--browse", *option, here / "a"])
        assert (done.status, done.out) == (2, b"")
        assert done.err.startswith(b"pyshim-read: read --browse: found ") and done.err.count(b"\n") == 1


def test_a_closed_pipe_ends_the_browser_quietly(here):
    command = "for i in $(seq 999); do echo stats; done | '%s' --browse a | head -1; echo ${PIPESTATUS[1]}"
    done = run_bare(["bash", "-c", command % READER], cwd=here)
    assert (done.out, done.err) == (GREETING + b"0\n", b"")


# On a terminal

class Terminal:
    """A browser on its own terminal, which stays open after it."""

    def __init__(self, here, *args, term="xterm"):
        self.fd, self.follower = pty.openpty()
        self.before = termios.tcgetattr(self.follower)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.close(os.open(os.ttyname(self.follower), os.O_RDWR))  # becomes the controlling terminal
            for fd in 0, 1, 2:
                os.dup2(self.follower, fd)
            os.chdir(here)
            os.execve(READER, ["pyshim-read", "--browse", *args],
                      {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"})
        self.shown = ""

    def expect(self, text, timeout=120):
        """Waits for a text on the screen, without escape sequences. Returns the screen up to it."""
        deadline = time.monotonic() + timeout
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], (text, self.shown)
            self.shown += os.read(self.fd, 65536).decode()
            self.shown = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\r\x07]", "", self.shown)
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, text):
        """Waits until the browser edits the line, just after the prompt, and types."""
        deadline = time.monotonic() + 120
        while termios.tcgetattr(self.follower)[3] & termios.ICANON:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.write(self.fd, text.encode())

    def status(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        os.close(self.fd)
        os.close(self.follower)


@pytest.fixture
def terminal(here):
    opened = []

    def start(*args, **options):
        opened.append(Terminal(here, *args, **options))
        opened[-1].expect(GREETING.decode())
        return opened[-1]

    yield start
    for t in opened:
        t.close()


def test_tab_completes_commands_keys_and_files(terminal):
    t = terminal("a")
    t.expect("a% ")
    t.type("so\ttot\t\n")  # each word is completed, followed by a blank
    t.expect("a% ")
    t.type("stats 1\n")
    t.expect("Ordered by: internal time\n")
    t.expect("a% ")
    t.type("s\t\t")
    assert t.expect("strip").split()[-2:] == ["sort", "stats"]
    t.type("\x15help rev\t\n")
    t.expect("Reverse the sort order of the profiling report.\n")
    t.type("?sta\t\n")
    t.expect("Print statistics from the current stat object.\n")
    t.type("read diff\t\n")  # a file name
    t.expect("difflib_report.prof% ")
    t.type("stats lib\t 1\n")  # nothing completes this, not even a file name
    t.expect("due to restriction <'lib'>\n")
    t.type("quit\n")
    t.expect("Goodbye.\n")
    assert t.status() == 0


def test_arrow_keys_recall_earlier_commands(terminal):
    t = terminal("a")
    for command in "sort name", "sort name", "stats 1":
        t.expect("a% ")
        t.type(command + "\n")
    t.expect("Ordered by: function name\n")
    t.expect("a% ")
    t.type("\x1b[A\x1b[A\x08\x08\x08\x08time\n")  # two lines back in three commands: equal ones count once
    t.expect("a% ")
    t.expect("a% ")
    t.type("\x10\x10\n")
    t.expect("Ordered by: internal time\n")


@pytest.mark.parametrize("key, status", [("\x03", 0), ("\x04", 0)])
def test_interrupt_and_end_of_file_keys_end_the_browser(terminal, key, status):
    """The same keys end Python's browser. The terminal's settings are restored."""
    t = terminal("a")
    t.expect("a% ")
    t.type("sta")
    t.expect("sta")
    t.type("\x15" + key)
    if key == "\x04":
        t.expect("Goodbye.\n")
    assert t.status() == status
    assert termios.tcgetattr(t.follower) == t.before


def test_an_error_on_a_terminal_does_not_end_the_browser(terminal):
    t = terminal("a", term="dumb")
    t.expect("a% ")
    t.type("add text words\n")
    t.expect("pyshim-read: add text words: EOFError: EOF read where not expected\n")
    t.type("stats 1\n")
    t.expect("due to restriction <1>\n")
    t.type("\x04")
    t.expect("Goodbye.\n")
    assert t.status() == 0


def test_libedit_is_loaded_on_terminals_only(here, terminal):
    def libraries(pid):
        with open("/proc/%d/maps" % pid) as maps:
            return "libedit" in maps.read()

    t = terminal("a")
    t.expect("a% ")
    assert libraries(t.pid)
    os.kill(t.pid, signal.SIGTERM)
    t.status()
    done = run_bare(["bash", "-c", "LD_DEBUG=files exec '%s' --browse a" % READER], cwd=here)
    assert b"libpcre2" in done.err and b"libedit" not in done.err
