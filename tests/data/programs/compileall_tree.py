# SPDX-License-Identifier: LGPL-2.1-or-later
"""compileall: a tree of sources, one of them broken, into the current folder."""

import compileall
import importlib.util
import os
import py_compile
import shutil
import textwrap

here = os.path.dirname(textwrap.__file__)
os.makedirs("tree/inner")
for name in ("bisect.py", "colorsys.py", "keyword.py", "textwrap.py", "stat.py", "sched.py"):
    shutil.copyfile(os.path.join(here, name), os.path.join("tree", name))
    shutil.copyfile(os.path.join(here, name), os.path.join("tree", "inner", name))
with open("tree/inner/broken.py", "w") as f:
    f.write("def f(:\n")
whole = compileall.compile_dir("tree", quiet=2, workers=1)
again = compileall.compile_dir("tree/inner", quiet=2, force=True, optimize=2)
one = compileall.compile_file("tree/bisect.py", quiet=1, legacy=True)
mode = py_compile.PycInvalidationMode.CHECKED_HASH
hashed = py_compile.compile("tree/sched.py", invalidation_mode=mode)
pycs = sorted(name for _, _, names in os.walk("tree") for name in names if name.endswith(".pyc"))
spec = importlib.util.spec_from_file_location("compiled", "tree/colorsys.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(whole, again, one, os.path.basename(hashed)[:5], len(pycs), module.rgb_to_hsv(1, 0, 0))
