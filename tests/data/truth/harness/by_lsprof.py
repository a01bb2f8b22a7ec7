# SPDX-License-Identifier: LGPL-2.1-or-later
"""by_lsprof.py OUT SNIPPET: the third opinion, from the _lsprof of the running interpreter.

Runs SNIPPET as __main__ under _lsprof.Profiler until its <module> returns and writes a marshal of
[((file, line, name), calls, recursive calls, [(callee, calls, recursive calls)])] for each code
object and C function on its own. The module's code is called as a function, because a call of
`exec` would be in the profile and would make those of the snippet recursive.
"""

import sys

import _lsprof
import marshal


def label(code):
    if isinstance(code, str):
        return "~", 0, code
    return code.co_filename, code.co_firstlineno, code.co_name


def main():
    out, path = sys.argv[1:]
    sys.argv[:] = [path]
    sys.path[0] = path.rpartition("/")[0]
    module = type(sys)("__main__")
    module.__file__ = path
    module.__loader__ = type(__loader__)("__main__", path)
    module.__builtins__ = sys.modules["builtins"]
    sys.modules["__main__"] = module
    with open(path, "rb") as f:
        code = compile(f.read(), path, "exec")
    run = type(main)(code, module.__dict__)
    profiler = _lsprof.Profiler()
    profiler.enable()
    try:
        run()
    except BaseException:
        pass
    profiler.disable()
    stats = [(label(e.code), e.callcount, e.reccallcount,
              [(label(c.code), c.callcount, c.reccallcount) for c in e.calls or ()])
             for e in profiler.getstats()
             if e.code != "<method 'disable' of '_lsprof.Profiler' objects>"]
    with open(out, "wb") as f:
        f.write(marshal.dumps(stats))


main()
