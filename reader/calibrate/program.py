# SPDX-License-Identifier: LGPL-2.1-or-later
# The measured program of a calibration, run as python -c PROGRAM N. pyshim-read embeds this text.
#
# Each loop_* makes N calls of one kind and no others, or runs plain bytecode. mixed_0, mixed_1, ...
# are small programs: the first ones have the many shapes of a call, the others are made of code as
# programs have it, partly of the standard library, with more reuse distance.
#
# A loop runs in 20 slices, a mixed program in 12 of about a millisecond. The fastest slice counts:
# it was disturbed least, and the slices before it have filled the processor's caches. All loops run
# half of their slices first, and then all of them the rest. A machine is busy for some time, but
# seldom during both halves. Slice 3 of loop_c has the name "loop_c 3", so that a profile
# distinguishes slices.
#
# Prints a line for each slice: number of the loop (enum loop), number of the slice, elapsed ns, ns
# of processor time, involuntary context switches, ns of a fixed piece of work, and threads that run
# on the whole machine. The last two are measured before and after the slice; the greater counts.
# The fixed piece is interpreter code with many branches and allocations. It makes no calls that are
# recorded, so it takes the same time with and without recording.
import gc, os, sys, time
from collections import deque
try:
    import calendar, collections, configparser, contextlib, copy, email, enum, fnmatch, fractions, functools
    import heapq, html.parser, http.cookies, inspect, io, ipaddress
    import logging, pathlib, pickle, posixpath, pprint, shlex, statistics, string, textwrap, tokenize, urllib.parse
    import _pydecimal, xml.dom.minidom
    from email import policy
    has_library = True
except ImportError: # Debian's python3-minimal
    has_library = False
pad = lambda n: '    if x is None:\n        x = 0\n' + '        x = [x, x, x, x, x, x, x]\n' * n
def define(name, n, head, tail):
    exec('def %s(%s' % (name, head) + pad(n) + '    %s\n' % tail, globals())
define('callee_python', 0, 'x):\n', 'return x')
define('callee_large', 110, 'x):\n', 'return x')
define('loop_site', 110, 'r, f):\n    x = r\n', 'for i in r: f(r)')
def callee_bare(x): return x
def callee_resume(r):
    for i in r: yield
def callee_exception(): raise LookupError
def loop_python(r, f):
    for i in r: f(i)
def loop_large(r, f):
    for i in r: f(i)
def loop_c(r, f):
    for i in r: f(r)
def loop_other(r, f):
    for i in r: f()
def loop_method(r, d):
    for i in r: d.get(i)
def loop_bare(r, f): deque(map(f, r), 0)
def loop_resume(r, f):
    for i in f(r): pass
def loop_exception(r, f):
    for i in r:
        try: f()
        except LookupError: pass
def loop_c_exception(r, f):
    for i in r:
        try: next(f)
        except StopIteration: pass
def loop_plain(r, f):
    a = b = 1
    for i in r:
        a = i + b; c = a; d = c - a
        if d: b = c
        c = a + d; d = a < c; f = d
def loop_work(r, f):
    a, t = 1, (1, 2, 3, 4)
    for i in r:
        a = a * 31 % 65521 + i
        s = '%d' % a
        if s < 'a': a -= t[a & 3]
def loop_text(r, f):
    s, n = 'abc', 0
    for i in r:
        u = s + 'x'; n += u == 'abcx'
        v = f'{u}-{i}'
        if v[0] > 'b': s = v

def nothing(): pass
def three(x, y, z): return y
def default(x, y=1, *, z=2): return x
def packed(*a, **k): return a
def busy(x):
    a = x + 1; b = a + 2; c = b + 3
    return c if c > a else b
def enclosed(z):
    def inner(x): return z
    return inner
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def down(n):
    if n: return down(n - 1)
def counting(r):
    for i in r: yield i
class Shape:
    def __init__(self, x=None): self.x = x
    def none(self): pass
    def one(self, x): return x
    @property
    def seven(self): return 7
    @staticmethod
    def alone(x): return x
    @classmethod
    def of(cls, x): return x
    def __call__(self, x): return x
    def __len__(self): return 3
    def __getitem__(self, i): return i
    def __add__(self, other): return other
class Plain: pass
shape, inner, empty, table, many = Shape(), enclosed(1), (), {}, []
def shaped(*calls):
    loops = ''.join('    for i in rolled[:100]: %s\n' % call for call in calls)
    names = {}
    exec('def f(rolled):\n    pair, bound = (1,), shape.one\n' + loops, globals(), names)
    return names['f']
shapes = [
    shaped('nothing()', 'callee_python(i)', 'three(i, i, i)'),
    shaped('default(i)', 'default(i, z=1)', 'packed(i)', 'packed(i, x=1)', 'callee_python(*pair)'),
    shaped('callee_python(callee_python(i))', 'busy(busy(i))', 'inner(i)'),
    shaped('shape.none()', 'shape.one(i)', 'bound(i)', 'shape.one(i); shape.none()'),
    shaped('shape.alone(i)', 'shape.of(i)', 'shape(i)'),
    shaped('shape.seven', 'len(shape)', 'shape[i]', 'shape + i'),
    shaped('Shape(i)', 'Plain()'),
    shaped('object()', 'int(i)', 'tuple(empty)', 'enumerate(empty)', 'str(i)'),
    shaped('len(empty)', 'abs(i)', 'isinstance(i, int)', 'ord("a")'),
    shaped('hash(i); len(empty); abs(i)', 'callee_python(len(empty))', 'nothing(); abs(i)', 'min(i, 1)'),
    shaped('many.append(i)', 'table.get(i)', '"abc".startswith("a")', '"abc".join(empty)')]
def mixed_recursion(rolled):
    fib(10)
    down(60)
def mixed_loops(rolled):
    for i in counting(rolled[:100]): pass
    sum(i for i in rolled[:100])
def mixed_consumers(rolled):
    any(v > 300 for v in rolled[:40]), max(v ^ 5 for v in rolled[:20])
    ', '.join(str(v) for v in rolled[:20]), sorted(counting(rolled[:20]))
def mixed_callbacks(rolled):
    list(map(callee_python, rolled[:100]))
    sorted(rolled[:100], key=callee_python)

class Node:
    def __init__(self, key):
        self.key = key
        self.left = self.right = None
    def insert(self, key):
        side = 'left' if key < self.key else 'right'
        child = getattr(self, side)
        if child is None: setattr(self, side, Node(key))
        else: child.insert(key)
    @property
    def is_leaf(self): return not self.left and not self.right
    def depth(self):
        if self.is_leaf: return 1
        return 1 + max(n.depth() for n in (self.left, self.right) if n)
def mixed_tree(rolled):
    root = Node(rolled[0])
    for key in rolled[1:60]: root.insert(key)
    root.depth()
def mixed_words(rolled):
    lines = ['%d item%d, %s' % (a, a & 7, 'x' * (a & 3)) for a in rolled[:80]]
    seen = {}
    for line in lines:
        number, _, rest = line.partition(' ')
        if rest.startswith('item') and number.isdigit():
            word = rest.split(',')[0].strip()
            seen.setdefault(word, []).append(int(number))
    for word in sorted(seen, key=lambda w: (len(seen[w]), w)): seen[word].sort()
    ''.join(seen)
def walk(values, depth):
    if depth:
        for v in walk(values, depth - 1):
            if v % depth: yield v
        yield from values[:depth]
    else:
        for v in values: yield v
def mixed_generators(rolled):
    total = 0
    for a in range(8): total += sum(v * 2 for v in walk(rolled[a:a + 20], 3) if v & 1)
def scan(text, at, out):
    c = text[at]
    if c.isdigit():
        end = at
        while end < len(text) and text[end].isdigit(): end += 1
        out.append(('number', int(text[at:end])))
        return end
    if c in '+-*':
        out.append(('operator', c))
    elif ord(c) > 96:
        out.append(('name', c.upper()))
    elif c != ' ':
        raise ValueError(at)
    return at + 1
def mixed_scanner(rolled):
    text = ' '.join('%d+a%s%d' % (a, '*-?'[a % 3], a >> 4) for a in rolled[:24])
    at, out = 0, []
    while at < len(text):
        try: at = scan(text, at, out)
        except ValueError as e: at = e.args[0] + 1
    return out
def place(free, taken, goal):
    if not goal or not free: return not goal
    first, *rest = free
    if first <= goal and first not in taken:
        taken.add(first)
        if place(rest, taken, goal - first): return True
        taken.discard(first)
    return place(rest, taken, goal)
def mixed_search(rolled):
    for a in range(6): place([v & 31 for v in rolled[a:a + 7]], set(), 40 + a)
class Point:
    def __init__(self, x, y=0): self.x, self.y = x, y
    def __add__(self, other): return Point(self.x + other.x, self.y - other.y)
    def scaled(self, n, *, by=1): return self.__class__(self.x * n // by, self.y)
def check(p):
    if not isinstance(p, Point): raise TypeError(p)
    return p
def mixed_objects(rolled):
    p = Point(1, 2)
    for a in rolled[:60]:
        p = check(p + Point(a)).scaled(a & 3, by=2)
        if p.x > 1000: p = Point(p.x & 255, y=a)
        if a & 7 == 0:
            try: check(a)
            except TypeError: p.y = 0
class Quiet:
    def __enter__(self): return self
    def __exit__(self, kind, value, traceback): return kind is IndexError
def convert(text, depth):
    try:
        return convert(text, depth - 1) if depth else int(text)
    finally:
        depth = 0
def mixed_exceptions(rolled):
    for a in rolled[:12]:
        try: convert('x' if a & 1 else '7', a & 3)
        except ValueError: pass
        with Quiet(): rolled[a + 1000]
        try:
            try: {}[a]
            except KeyError as e: raise TypeError(a) from e
        except (OSError, TypeError): pass
        next(iter(()), None), hasattr(a, 'nothing')
class Leaf:
    fields = ('value',)
    def __init__(self, value): self.value = value
class Sum:
    fields = ('left', 'right')
    def __init__(self, left, right): self.left, self.right = left, right
class Visitor:
    def visit(self, node): return getattr(self, 'visit_' + type(node).__name__, self.others)(node)
    def others(self, node): return sum(self.visit(child) for child in self.children(node))
    def children(self, node):
        for name in node.fields:
            if hasattr(node, name): yield getattr(node, name)
    def visit_Leaf(self, node): return node.value
def grown(values):
    half = len(values) // 2
    return Sum(grown(values[:half]), grown(values[half:])) if half else Leaf(values[0])
def mixed_visitor(rolled):
    tree = grown(rolled[:24])
    for k in range(3): Visitor().visit(tree)
def leaves(node):
    if isinstance(node, Leaf): yield node.value
    else:
        yield from leaves(node.left)
        yield from leaves(node.right)
def mixed_delegation(rolled):
    tree = grown(rolled[:24])
    for k in range(3): sum(leaves(tree))
def worker(out, n):
    total = 0
    while total < n:
        got = yield total
        total += got or 1
        out(total)
def mixed_queue(rolled):
    seen = []
    ready = deque(worker(seen.append, a & 15) for a in rolled[:8])
    while ready:
        one = ready.popleft()
        try: next(one), one.send(2)
        except StopIteration: continue
        ready.append(one)
def board(columns, size):
    if len(columns) == size: return 1
    found = 0
    for c in range(size):
        if all(c != k and abs(c - k) != len(columns) - i for i, k in enumerate(columns)):
            found += board(columns + [c], size)
    return found
def mixed_board(rolled): board([], 4)

def mixed_decimal(rolled):
    a = _pydecimal.Decimal('%d.%d' % (rolled[0], rolled[1]))
    for b in rolled[2:6]: a = (a * b + 1) / 3
    str(a.quantize(_pydecimal.Decimal('0.001')))
def mixed_pickle(rolled):
    pickle._loads(pickle._dumps({'a': rolled[:8], 'b': [(v, str(v), None) for v in rolled[:6]]}))
def mixed_email(rolled):
    text = 'From: a%d <b@c.org>\nSubject: the %d\nTo: x, y@z.de\n\nline\n' % (rolled[0], rolled[1])
    message = email.message_from_string(text, policy=policy.default)
    message['subject'], message['to']
def mixed_config(rolled):
    c = configparser.ConfigParser()
    c.read_string('[one]\na = %d\nb: %%(a)s\n[two]\n# no\nx = y\n  z\n' % rolled[0])
    c.get('one', 'b'), c.getint('one', 'a'), c.has_option('two', 'a')
def mixed_html(rolled):
    html.parser.HTMLParser().feed('<p class="a">x %d &amp; <b>y</b><!-- no --><br/></p>' % rolled[0])
def mixed_signature(rolled):
    str(inspect.signature(place)), str(inspect.signature(Point.scaled))
def mixed_pprint(rolled):
    pprint.pformat({'a': rolled[:12], 'b': {'c': str(rolled[:5]), 'd': (1, [2])}}, width=40)
def mixed_copy(rolled):
    copy.deepcopy([{'a': rolled[:4], 'b': Point(1, (2, [3]))}, (rolled[:2], {})])
def mixed_shell(rolled):
    shlex.split('ls -l %d "a b" c=\'d\' # e' % rolled[0], comments=True)
def mixed_wrap(rolled):
    textwrap.fill(' '.join(map(str, rolled[:40])), 30)
def mixed_fractions(rolled):
    a = sum(fractions.Fraction(v, 7 + v) for v in rolled[:6])
    str(a.limit_denominator(100)), round(a, 2)
def mixed_paths(rolled):
    p = pathlib.PurePosixPath('/usr/lib') / ('x%d.tar.gz' % rolled[0])
    p.with_suffix('.py').relative_to('/usr').parts, p.parent.name, p.stem, p.match('*.gz')
    pathlib.PurePosixPath(*p.parts[1:]) == p, p.with_name('y').as_posix()
def mixed_urls(rolled):
    u = urllib.parse.urljoin('http://a.org:80/b/c?d=%d#e' % rolled[0], '../f g')
    urllib.parse.urlsplit(u).hostname, urllib.parse.quote(u)
    urllib.parse.urlencode(urllib.parse.parse_qs('a=1&b=%20x&a=' + str(rolled[1])))
def mixed_tokens(rolled):
    text = 'def f(a, b=%d):\n    # no\n    return a[b:] + "x"\n' % rolled[0]
    list(tokenize.generate_tokens(io.StringIO(text).readline))
def mixed_logging(rolled):
    out = logging.StreamHandler(io.StringIO())
    out.setFormatter(logging.Formatter('%(levelname)s %(asctime)s %(message)s'))
    log = logging.Logger('a')
    log.addHandler(out)
    log.warning('%d of %s', rolled[0], 'b')
    log.debug('c')
def mixed_addresses(rolled):
    n = ipaddress.ip_network('10.%d.0.0/29' % rolled[0])
    [str(a) for a in n.hosts()], ipaddress.ip_address('::%x' % rolled[1]).exploded, n.supernet()
def mixed_xml(rolled):
    d = xml.dom.minidom.Document()
    top = d.appendChild(d.createElement('a'))
    for v in rolled[:3]: top.appendChild(d.createElement('b')).setAttribute('c', str(v))
    top.appendChild(d.createTextNode('d < e'))
    d.toprettyxml(), d.getElementsByTagName('b')
def mixed_cookies(rolled):
    c = http.cookies.SimpleCookie('a=%d; b="c d"; Path=/' % rolled[0])
    c['e'] = 'f;g'
    c['e']['max-age'] = rolled[1]
    c.output()
def mixed_templates(rolled):
    string.Template('$a ${b} $$').substitute(a=rolled[0], b='c')
    string.Formatter().format('{0:>5} {a[0]!r} {b}', rolled[0], a='xy', b=rolled[1])
if has_library:
    @contextlib.contextmanager
    def within(out):
        out.append(1)
        try: yield out
        finally: out.pop()
    def mixed_contexts(rolled):
        with contextlib.ExitStack() as stack:
            for a in rolled[:5]: stack.enter_context(within([a]))
            with contextlib.suppress(KeyError): {}[1]
    class Color(enum.IntFlag):
        RED = 1; GREEN = 2; BLUE = 4
    @functools.singledispatch
    def kind_of(x): return 'other'
    kind_of.register(int)(lambda x: 'number')
    def mixed_tools(rolled):
        for a in rolled[:6]: Color(a & 7) | Color.BLUE, Color.RED in Color(a & 3)
        for x in (1, 'a', 2): kind_of(x)
        counts = collections.Counter(rolled[:20]); counts.update(rolled[:4]); counts.most_common(2)
        chain = collections.ChainMap({'a': 1}, {'b': rolled[0]}); chain['b'], 'c' in chain, len(chain)
        list(heapq.merge(sorted(rolled[:8]), sorted(rolled[8:16])))
    def mixed_calendar(rolled):
        calendar.TextCalendar().formatweek([(a, k) for k, a in enumerate(rolled[:7])], 3)
        calendar.monthrange(1900 + rolled[0], 1 + rolled[1] % 12)
    def mixed_statistics(rolled):
        statistics.mean(rolled[:9]), statistics.median(rolled[:9]), statistics.pvariance(rolled[:6])
    def mixed_files(rolled):
        for a in rolled[:4]:
            p = posixpath.normpath(posixpath.join('/usr', '../a%d' % a, './b.c'))
            posixpath.splitext(posixpath.basename(p)), posixpath.commonpath([p, '/a']), fnmatch.fnmatch(p, '*.c')
rolled = [1]
while len(rolled) < 512: rolled.append(rolled[-1] * 1103515245 + 12345 & 0x7fffffff)
rolled = [a >> 12 & 255 for a in rolled]
gc.disable()
clock = time.perf_counter_ns
try:
    import resource
    switches = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
except ImportError:
    switches = lambda: 0
try:
    load = os.open('/proc/loadavg', os.O_RDONLY)
    running = lambda: os.pread(load, 100, 0)
except OSError:
    running = lambda: b'0 0 0 0/0'
n = int(sys.argv[1]) // 20
r = range(n)
def repeated(part, n):
    def repeats(r, f):
        for k in range(n): part(rolled[k & 63:])
    return repeats
loops = [(f.__name__, f, x) for f, x in (
    (loop_python, callee_python), (loop_large, callee_large), (loop_c, callable),
    (loop_site, callable), (loop_method, {}), (loop_other, object), (loop_bare, callee_bare),
    (loop_resume, callee_resume), (loop_exception, callee_exception),
    (loop_c_exception, iter(())), (loop_plain, None), (loop_work, None), (loop_text, None))]
mixed = [repeated(f, n // 100 + 1) for f in shapes + [
    mixed_recursion, mixed_loops, mixed_consumers, mixed_callbacks]]
mixed += [repeated(f, n // 300 + 1) for f in (
    mixed_tree, mixed_words, mixed_generators, mixed_scanner, mixed_search, mixed_objects,
    mixed_exceptions, mixed_visitor, mixed_delegation, mixed_queue, mixed_board)]
if has_library:
    mixed += [repeated(f, n // 150 + 1) for f in (
        mixed_decimal, mixed_pickle, mixed_email, mixed_config, mixed_html, mixed_signature,
        mixed_pprint, mixed_copy, mixed_shell, mixed_wrap, mixed_fractions, mixed_paths, mixed_urls,
        mixed_tokens, mixed_logging, mixed_addresses, mixed_xml, mixed_cookies, mixed_templates,
        mixed_contexts, mixed_tools, mixed_calendar, mixed_statistics, mixed_files)]
loops += [('mixed_%d' % i, f, None) for i, f in enumerate(mixed)]
text = 'def f(a, b):\n    for i in a:\n        if i < b: yield i * 2 + len(b)\n    return {1: a, 2: b}\n'
cpu, slices, states = time.process_time_ns, [], []
looked = -1000000000
def look_around():
    global looked
    if clock() - looked < 200000: return # shorter slices share it
    compile(text, '', 'exec') # what comes before has left the processor's memories full of other things
    t = clock()
    compile(text, '', 'exec')
    states.append((clock() - t, running()))
    looked = clock()
def run_slice(number, name, loop, f, k):
    loop.__code__ = codes[number].replace(co_name='%s %d' % (name, k))
    s, c = switches(), cpu()
    t = clock()
    loop(r, f)
    t = clock() - t
    slices.append((number, k, t, cpu() - c, switches() - s, len(states)))
    look_around()
codes = [f.__code__ for _, f, _ in loops]
for visit in 0, 1:
    for number, (name, loop, f) in enumerate(loops):
        n_slices = 6 if name.startswith('mixed') else 10
        look_around()
        for k in range(n_slices): run_slice(number, name, loop, f, visit * n_slices + k)
looked = -1000000000
look_around()
states = [(t, int(told.split()[3].split(b'/')[0])) for t, told in states]
for *slice, at in slices: print(*slice, *map(max, *states[at - 1:at + 1]))
