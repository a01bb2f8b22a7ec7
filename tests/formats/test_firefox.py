# SPDX-License-Identifier: LGPL-2.1-or-later
"""The format firefox in Mozilla's profiler-cli, from npm, which has the loader and the sums of
profiler.firefox.com.
"""

import collections
import json
import os
import shutil
import subprocess

import pytest

import reading

CLI = reading.NPM / "@firefox-devtools" / "profiler-cli" / "dist" / "profiler-cli.js"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE or not CLI.exists(),
                                reason="no node, or no profiler-cli in %s (`make check-formats` installs it)" % reading.NPM)

THREADS = """\
import threading
def work(n): return [leaf(i) for i in range(n)]
def leaf(n): return abs(n)
work(30)
for k in 7, 9: t = threading.Thread(target=work, args=(k,), name="w%d" % k); t.start(); t.join()
"""


@pytest.fixture
def profile(tmp_path):
    """profile(path, command...): what the program says of a file, as JSON."""
    env = {**os.environ, "HOME": str(tmp_path)}

    def run(*args):
        return subprocess.run([NODE, CLI, *args], env=env, check=True, stdout=subprocess.PIPE, timeout=300).stdout

    def ask(path, *args):
        run("load", path)
        try:
            return json.loads(run(*args, "--json"))
        finally:
            run("stop", "--all")

    return ask


def write(recording, path):
    path.write_bytes(reading.read("-f", "firefox", recording))
    return path


def test_its_functions_have_the_times_of_the_report(profile, tmp_path):
    recording = reading.record(tmp_path)
    shown = profile(write(recording, tmp_path / "p.json"), "thread", "functions", "--thread", "t-0", "--limit", "0")
    assert shown["weightType"] == "tracing-ms"
    found, expected = collections.defaultdict(list), collections.defaultdict(list)
    for f in shown["functions"]:
        found[f.get("library"), f["name"]].append((round(f["selfSamples"] * 1e6), round(f["totalSamples"] * 1e6)))
    for f in reading.functions(recording):
        is_c = f["file_name"] == "~"
        numbers = round(f["tottime"] * 1e9), round(f["cumtime"] * 1e9)
        if numbers[1]:
            expected[None if is_c else f["file_name"], reading.label(f) if is_c else f["name"]].append(numbers)
    assert len(found) > 30
    assert {k: sorted(v) for k, v in found.items()} == {k: sorted(v) for k, v in expected.items()}


def test_its_threads(profile, tmp_path):
    recording = reading.record(tmp_path, THREADS)
    info = profile(write(recording, tmp_path / "p.json"), "profile", "info")
    process, = info["processes"]
    assert process["pid"] == recording.name.rpartition(".")[2] and process["name"].endswith("program.py")
    assert [t["name"] for t in process["threads"]] == ["MainThread", "w7", "w9"]
    assert str(process["threads"][0]["tid"]) == process["pid"]
