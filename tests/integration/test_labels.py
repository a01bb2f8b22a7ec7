# SPDX-License-Identifier: LGPL-2.1-or-later
"""Labels of C functions: a method is named after the type that defines it, with any first caller,
and a label never has an address.
"""

import ast
import re

import pytest

from conftest import read, read_stats

CALLS = """\
import sys
class List(list):
    def append(self, x): super().append(x)
class Deep(List):
    def append(self, x): super().append(x)
    def extend(self, x): list.extend(self, x)
class Dict(dict):
    def get(self, key): return super().get(key)
    def __contains__(self, key): return super().__contains__(key)
    def copy(self): return super().copy()
    pop = property(lambda self: super().pop)
class Meta(type):
    def mro(cls): return super().mro()
    def fromkeys(cls): return {}
    def __new__(meta, *args): return super().__new__(meta, *args)
    def __prepare__(name, bases): return type.__prepare__()
class Made(dict, metaclass=Meta): pass
class Text(str):
    def split(self): return super().split()
    def __format__(self, how): return super().__format__(how)
class Base:
    def __init_subclass__(cls): super().__init_subclass__()
class Old(BaseException):
    def with_traceback(self, tb): return super().with_traceback(tb)
class Aliased(list):
    append = list.extend
calls = [
    lambda: Deep().append(1), lambda: List().append(1), lambda: [].append(1), lambda: list.append([], 1),
    lambda: Deep().extend([1]), lambda: [].extend([1]), lambda: Aliased().append([1]),
    lambda: Dict().get(1), lambda: {}.get(1), lambda: Dict().__contains__(1), lambda: {}.__contains__(1),
    lambda: Dict().copy(), lambda: {}.copy(), lambda: Dict(a=1).pop("a"), lambda: {"a": 1}.pop("a"),
    lambda: dict.fromkeys("ab"),
    lambda: dict.__dict__["fromkeys"].__get__(None, Made)("ab"),
    lambda: Meta.mro(Made), lambda: type.mro(Made), lambda: Meta("New", (), {}), lambda: object.__new__(Base),
    lambda: Text("a b").split(), lambda: "a b".split(), lambda: str.maketrans("a", "b"),
    lambda: type("Sub", (Base,), {}), lambda: Base.__subclasses__(), lambda: Meta.__subclasses__(Made),
    lambda: Old().with_traceback(None), lambda: Exception().with_traceback(None),
    lambda: (0).to_bytes(1, "big"), lambda: True.to_bytes(1, "big"), lambda: int.from_bytes(b"a", "big"),
    lambda: sys.getrecursionlimit(), lambda: len("a"), lambda: Text("b").__format__(""), lambda: "".__format__(""),
]
for call in calls[::-1 if sys.argv[1] == "backwards" else 1]: call()
"""

WANTED = """\
    <method 'append' of 'list' objects>
    <method 'extend' of 'list' objects>
    <method 'get' of 'dict' objects>
    <method '__contains__' of 'dict' objects>
    <method 'copy' of 'dict' objects>
    <method 'pop' of 'dict' objects>
    <built-in method fromkeys>
    <method 'mro' of 'type' objects>
    <built-in method __new__ of type object>
    <method 'split' of 'str' objects>
    <built-in method maketrans>
    <method '__init_subclass__' of 'object' objects>
    <method '__subclasses__' of 'type' objects>
    <method 'with_traceback' of 'BaseException' objects>
    <method 'to_bytes' of 'int' objects>
    <built-in method from_bytes>
    <built-in method sys.getrecursionlimit>
    <built-in method builtins.len>
    <method '__format__' of 'str' objects>
""".splitlines()


# Labels that 3.15 itself changed: the repr of a class method, and a static method's module.
OF_3_15 = {
    "<method '__init_subclass__' of 'object' objects>": "<method '__init_subclass__'>",
    "<built-in method maketrans>": "<built-in method builtins.maketrans>",
}


def wanted_of(python):
    wanted = {line.strip() for line in WANTED}
    return {OF_3_15.get(w, w) for w in wanted} if python.version >= (3, 15) else wanted


def c_functions(recording, options=()):
    """Returns {label: calls} of C functions."""
    return {f[2]: v[1] for f, v in read_stats(recording, options=options).items() if f[0] == "~"}


@pytest.fixture
def calls(tmp_path):
    (tmp_path / "calls.py").write_text(CALLS)
    return tmp_path / "calls.py"


def test_methods_are_named_after_the_defining_type(python, calls, run_shim):
    """The two processes have different first callers. Equal labels let the rows of several
    recordings add up.
    """
    forwards = run_shim([python.exe, calls, "forwards"]).recording
    backwards = run_shim([python.exe, calls, "backwards"]).recording
    found = c_functions(forwards)
    assert wanted_of(python) - set(found) == set()
    assert found == c_functions(backwards)
    assert not [name for name in found if re.search("0x[0-9a-f]", name)]
    read("--strict", forwards, backwards)


def test_cprofile_labels_equal_those_of_cprofile(python, calls, run_shim):
    """cProfile looks the name up in the type of the first caller, and prints an address."""
    forwards = run_shim([python.exe, calls, "forwards"]).recording
    backwards = run_shim([python.exe, calls, "backwards"]).recording
    option = ["--cprofile-labels"]
    first = {re.sub("0x[0-9a-f]+", "0x", name) for name in c_functions(forwards, option)}
    assert {"<function Deep.append at 0x>", "<function Dict.get at 0x>", "<function Text.split at 0x>",
            "<built-in method __new__ of type object at 0x>"} <= first
    assert not any("'append' of 'list'" in name for name in first)
    assert any("'append' of 'list'" in name for name in c_functions(backwards, option))
    assert sum(c_functions(forwards).values()) == sum(c_functions(forwards, option).values())
    # Functions with the same name in both forms have equal rows.
    assert {n for n in c_functions(forwards) if "built-in method builtins" in n} <= first


MADE = """\
import ctypes, json
class Def(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("meth", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p)]
word = ctypes.sizeof(ctypes.c_void_p)
like = Def.from_address(ctypes.c_void_p.from_address(id(len) + 2 * word).value)
new = ctypes.pythonapi.PyCFunction_NewEx
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
class List(list):
    def extend(self): pass
class Name(str): pass
kept = []
def make(name, self=None, module=None):
    made = Def(name, like.meth, like.flags, None)
    kept.extend([made, self, module])
    address = lambda o: None if o is None else id(o)
    return new(ctypes.addressof(made), address(self), address(module))
for made in (make(b"append", []), make(b"extend", List()), make(b"bound", [], "mod"),
             make(b"odd", [], 5), make(b"of_module", [], json),
             make(b"free", None, "mod"), make(b"of_builtins", None, "builtins"), make(b"alone"),
             make(b"free_odd", None, 5), make(b"free_of_module", None, json), make(b"named", [], Name("own")),
             make(b"x" * 600, [])):
    for i in range(3): made("a")
"""


def test_functions_made_at_run_time_have_their_own_labels(python, run_shim, tmp_path):
    """They are named by themselves, not after an equal name in the type of their object. Their
    module is that of cProfile.
    """
    (tmp_path / "made.py").write_text(MADE)
    recording = run_shim([python.exe, tmp_path / "made.py"]).recording
    found = {name: n for name, n in c_functions(recording).items() if n == 3}
    wanted = {"append", "extend", "mod.bound", "odd", "of_module", "own.named"}
    wanted = {"<built-in method %s>" % name for name in wanted}
    wanted |= {"<mod.free>", "<of_builtins>", "<alone>", "<free_odd>", "<json.free_of_module>"}
    assert wanted <= set(found)
    assert [name for name in found if name.startswith("<built-in method xxx")]
    theirs = c_functions(recording, ["--cprofile-labels"])
    assert theirs["<method 'append' of 'list' objects>"] >= 3
    assert any(name.startswith("<function List.extend at 0x") for name in theirs)


TEXTS = """\
import sys
class Text(str): pass  # its characters lie elsewhere than those of a str
made = []
def make(file, name, line):
    space = {}
    code = compile("\\n" * (line - 1) + "def f(): pass\\n", "f", "exec")
    exec(code, space)
    code = space["f"].__code__.replace(co_filename=file, co_name=name)
    space["f"].__code__ = code
    space["f"]()
    made.append((code.co_filename, code.co_firstlineno, code.co_name))
for i, text in enumerate(["plain", "", "caf\\xe9", "\\u51fd\\u6570", "\\U0001f40d", "lone \\udce9", "a\\tb", "x" * 5000]):
    make(text + ".py", "first", 10 * i + 1)
    make("second.py", text + "!", 70000 + i)
make(Text("Text.py"), Text("text"), 3)
print(ascii(made))
"""


def test_names_in_any_alphabet_are_complete(python, run_shim):
    """ASCII names are read from memory, others by the interpreter. Adjacent lines and names are not
    mixed up.
    """
    done = run_shim([python.exe, "-S", "-c", TEXTS])
    made = ast.literal_eval(done.out.decode())
    assert len(made) == 17
    stats = read_stats(done.recording)
    for file, line, name in made:
        assert stats[(file, line, name)][:2] == (1, 1), (file, line, name)
