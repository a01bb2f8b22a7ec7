# SPDX-License-Identifier: LGPL-2.1-or-later
#
# GNU make. `make help` lists the targets.
#
# Parsing this file must need no tool but make: on a fresh machine `check` and `demo` start by
# installing the compiler. So what asks a tool stands in a recursive (=) variable that only a
# recipe expands, and those two build in a second make.

VERSION := 0.1.0

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/pyshim
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
CLANG_FORMAT ?= clang-format
INSTALL ?= install
PKG_CONFIG ?= pkg-config

# SAN=address,undefined or SAN=thread builds a sanitised tree of its own, below the plain one.
comma := ,
ifeq ($(SAN),)
BUILD := build
CFLAGS ?= -O2 -g
else
BUILD := build/san-$(subst $(comma),-,$(SAN))
CFLAGS ?= -O1 -g -fno-omit-frame-pointer
SAN_FLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all
endif
# FUZZ=1 builds what libFuzzer drives, with clang and SAN, in a tree of its own as well.
ifeq ($(FUZZ),1)
BUILD := $(BUILD)/libfuzzer
SAN_FLAGS += -fsanitize=fuzzer-no-link
FUZZ_CPPFLAGS := -DFIRST_ENTRIES=16u
endif
# KILLPOINTS=1 builds a shim that a test can kill at named places, in a tree of its own as well.
ifeq ($(KILLPOINTS),1)
BUILD := $(BUILD)/killpoints
KILL_CPPFLAGS := -DPYSHIM_KILLPOINTS
endif
OBJ := $(BUILD)/obj

# What gcc 12 and clang 14 both know and keep. Errors only for those who ask, as CI does.
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wpointer-arith -Wwrite-strings -Wundef -Wvla
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

ALL_CPPFLAGS = -D_GNU_SOURCE -DPYSHIM_VERSION=\"$(VERSION)\" -Iinclude $(KILL_CPPFLAGS) $(FUZZ_CPPFLAGS) \
	$(CPPFLAGS)
# The fold adds up words one by one that lie side by side; to pack them into a vector first takes longer.
ALL_CFLAGS = -std=gnu11 $(WARNINGS) -fno-tree-slp-vectorize $(CFLAGS) -pthread $(SAN_FLAGS)
ALL_LDFLAGS = $(SAN_FLAGS) -pthread -Wl,--as-needed $(LDFLAGS)

# The shim uses only the headers of liburcu (hence _LGPL_SOURCE: inline functions). Debian's
# liburcu-bp.a is not position independent, so it cannot go into a shared object, and
# liburcu-bp.so would bring two more libraries into every process. initial-exec makes a
# thread-local one instruction away; a preloaded object always gets its static TLS.
SHIM_CPPFLAGS := -D_LGPL_SOURCE=
SHIM_CFLAGS := -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-semantic-interposition
SHIM_LDFLAGS := -shared -Wl,--version-script=shim/pyshim.map -Wl,-z,now -Wl,-z,relro
ifeq ($(SAN),)
SHIM_LDFLAGS += -Wl,-z,defs # clang leaves a sanitizer's symbols to the executable
endif

# Regular expressions. Only the reader needs it. libedit is opened when the browser has a terminal.
READER_LIBS := -lpcre2-8 -lm

# The launcher finds the shim from where it lies itself, so that the whole may be moved.
LIBDIR_FROM_BINDIR = $(shell realpath -m --relative-to='$(BINDIR)' '$(LIBDIR)')
PLACES_CPPFLAGS = -DPYSHIM_LIBDIR_FROM_BINDIR="\"$(LIBDIR_FROM_BINDIR)\""

CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)

SHIM_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard shim/*.c)))
READER_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard reader/*.c)))
LAUNCHER_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard tools/launcher/*.c))) \
	$(addprefix $(OBJ)/reader/,attach.o option.o owner.o places.o)
READER_LIB_OBJS := $(filter-out $(OBJ)/reader/main.o,$(READER_OBJS))
UNIT_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard tests/unit/test_*.c)))
UNIT_TESTS := $(patsubst $(OBJ)/tests/unit/%.o,$(BUILD)/tests/%,$(UNIT_OBJS))
MANUALS := $(sort $(wildcard docs/man/*))
SOURCES = $(sort $(wildcard include/*/*.h shim/*.[ch] reader/*.[ch] \
	tools/*/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch]))
script = $(shell grep -slE '^\#!.*$(1)' tools/* tests/*/*) # those of this interpreter, by their first line

# One line for each step; with V=1 the whole command, with -s nothing.
silent = $(findstring s,$(firstword -$(MAKEFLAGS)))
step = $(if $(filter 1,$(V)),,@$(if $(silent),,echo '  $(1)	$@';))
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: all unit-tests check check-now check-fresh check-unit check-unit-now check-integration \
	check-integration-now check-stress check-stress-now check-cpython check-model check-sharp \
	stress killable litmus replays fuzzers fuzz bench bench-accuracy bench-instr demo install \
	uninstall lint format clean deps help FORCE

all: $(BUILD)/libpyshim.so $(BUILD)/pyshim-read $(BUILD)/pyshim ## build everything (default)

$(BUILD)/libpyshim.so: $(SHIM_OBJS) shim/pyshim.map $(OBJ)/flags
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(SHIM_LDFLAGS) $(ALL_LDFLAGS) -o $@.new $(SHIM_OBJS) -ldl
	@mv $@.new $@ # a process may have the old one mapped: it is replaced, never written over

$(BUILD)/pyshim-read: $(READER_OBJS) $(OBJ)/flags
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(READER_OBJS) \
		$(READER_LIBS)

$(BUILD)/pyshim: $(LAUNCHER_OBJS) $(OBJ)/flags
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(LAUNCHER_OBJS)

$(OBJ)/shim/%.o: shim/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) $(SHIM_CPPFLAGS) $(ALL_CFLAGS) $(SHIM_CFLAGS) \
		-MMD -MP -c -o $@ $<

$(OBJ)/reader/%.o: reader/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) $(if $(findstring /places.,$@),$(PLACES_CPPFLAGS)) \
		$(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/reader/places.o: $(OBJ)/places

# Hooks that do nothing, for `bench`. It finds the interpreter's symbols where it is opened.
$(BUILD)/bench/libfloor.so: tests/bench/floor.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,LD)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -fPIC -shared $(ALL_LDFLAGS) -o $@ $<

$(OBJ)/tools/launcher/%.o: tools/launcher/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# A unit test is a program: its own file, the reader without its main, and Check.
unit-tests: $(UNIT_TESTS)

$(OBJ)/tests/unit/%.o: tests/unit/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -I. -Ireader $(ALL_CFLAGS) $(CHECK_CFLAGS) \
		-MMD -MP -c -o $@ $<

$(UNIT_TESTS): $(BUILD)/tests/%: $(OBJ)/tests/unit/%.o $(READER_LIB_OBJS) $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(READER_LIB_OBJS) \
		$(CHECK_LIBS) $(READER_LIBS)

# What is fuzzed: with libFuzzer's main, or with one that replays inputs, which needs no clang.
FUZZ_TARGETS := recording pstats
FUZZ_LDFLAGS := -Wl,--wrap=calib_processor
REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/fuzz/replay_%) $(BUILD)/fuzz/scribble

$(OBJ)/tests/fuzz/%.o: tests/fuzz/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

FUZZ_LINK = @mkdir -p $(@D); $(if $(silent),,echo '  LD	$@';) $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) \
	$(FUZZ_LDFLAGS) -o $@ $^ $(READER_LIBS)
FUZZED := $(OBJ)/tests/fuzz/source.o $(READER_LIB_OBJS)

$(BUILD)/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(FUZZED)
	$(FUZZ_LINK) -fsanitize=fuzzer
$(BUILD)/fuzz/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o $(FUZZED)
	$(FUZZ_LINK)
# What looks at a recording tells of each look there, in objects of its own: a new one belongs in this list.
LOOKING := attach consume drain names rebuild replay tables ticks
SEEN_OBJS := $(LOOKING:%=$(OBJ)/seen/reader/%.o)
$(OBJ)/seen/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader -include tests/fuzz/seen.h $(ALL_CFLAGS) \
		-MMD -MP -c -o $@ $<
$(BUILD)/fuzz/scribble: FUZZ_LDFLAGS += -Wl,--wrap=mmap,--wrap=munmap
$(BUILD)/fuzz/scribble: $(OBJ)/tests/fuzz/scribble.o $(SEEN_OBJS) \
	$(filter-out $(LOOKING:%=$(OBJ)/reader/%.o),$(FUZZED))
	$(FUZZ_LINK)
$(BUILD)/fuzz/shrink: $(OBJ)/tests/fuzz/shrink.o
	@mkdir -p $(@D)
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

replays: $(REPLAYS)
fuzzers: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%)
.SECONDARY: $(FUZZ_TARGETS:%=$(OBJ)/tests/fuzz/fuzz_%.o) $(OBJ)/tests/fuzz/replay.o

# The litmus tests: both sides in one program, always under ThreadSanitizer, in objects of its own.
LITMUS_OBJS := $(patsubst %.c,$(OBJ)/litmus/%.o,$(sort $(wildcard tests/litmus/*.c)) \
	$(addprefix shim/,clock.c config.c family.c filename.c fold.c forkstack.c hook.c intern.c \
		label.c log.c names.c pageguard.c pieces.c process.c pyapi.c pycode.c recording.c \
		region.c share.c thread.c) \
	$(addprefix reader/,attach.c consume.c drain.c names.c owner.c progress.c seed.c tables.c ticks.c))
LITMUS_CPPFLAGS = -D_GNU_SOURCE -Iinclude -I. $(SHIM_CPPFLAGS) -DPYSHIM_KILLPOINTS \
	-include tests/litmus/points.h $(CHECK_CFLAGS)
LITMUS_CFLAGS = -std=gnu11 $(WARNINGS) -O1 -g -fsanitize=thread -pthread

$(OBJ)/litmus/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(LITMUS_CPPFLAGS) $(LITMUS_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/litmus: $(LITMUS_OBJS)
	$(call step,LD)$(CC) $(LITMUS_CFLAGS) -Wl,--wrap=mmap,--wrap=munmap -o $@ $(LITMUS_OBJS) \
		$(CHECK_LIBS) -ldl

# Changes when a flag does, and everything with it.
FLAGS = $(CC) $(ALL_CPPFLAGS) $(SHIM_CPPFLAGS) $(ALL_CFLAGS) $(SHIM_CFLAGS) \
	$(SHIM_LDFLAGS) $(ALL_LDFLAGS)
$(OBJ)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS)' | cmp -s - $@ || printf '%s\n' '$(FLAGS)' > $@

$(OBJ)/places: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(PLACES_CPPFLAGS)' | cmp -s - $@ || printf '%s\n' '$(PLACES_CPPFLAGS)' > $@

-include $(SHIM_OBJS:.o=.d) $(READER_OBJS:.o=.d) $(LAUNCHER_OBJS:.o=.d) $(UNIT_OBJS:.o=.d) \
	$(LITMUS_OBJS:.o=.d) $(SEEN_OBJS:.o=.d) $(wildcard $(OBJ)/tests/fuzz/*.d)

# "yes" where the compiler can build for the address and undefined behaviour sanitizers.
CAN_SANITIZE = $(shell echo 'int main(void) { return 0; }' | $(CC) -fsanitize=address,undefined \
	-x c -o $(OBJ)/can-sanitize - 2>/dev/null && $$(setarch -R echo setarch -R 2>/dev/null) \
	$(OBJ)/can-sanitize && echo yes)

# ... and for the thread sanitizer, which needs its addresses left free.
CAN_SEE_RACES = $(shell echo 'int main(void) { return 0; }' | $(CC) -fsanitize=thread \
	-x c -o $(OBJ)/can-see-races - 2>/dev/null && \
	setarch -R $(OBJ)/can-see-races 2>/dev/null && echo yes)

check: ## install what is missing, build, run every test; SAN=... runs the unit tests under it
	@tools/install-deps build check
	@$(MAKE) check-now

ifeq ($(SAN),)
check-now: all unit-tests killable $(BUILD)/bench/libfloor.so $(BUILD)/fuzz/shrink
	$(eval SANITIZED := $(CAN_SANITIZE))
	$(eval RACES := $(CAN_SEE_RACES))
	@$(if $(SANITIZED),$(MAKE) SAN=address$(comma)undefined unit-tests replays)
	@$(if $(RACES),$(MAKE) litmus)
	@tools/run-tests $(BUILD) static unit $(if $(SANITIZED),sanitized fuzz,unsanitized) \
		$(if $(RACES),litmus sharp,racy) model integration stress cpython bench
else
check-now: check-unit-now
endif

check-fresh: ## demo and check on bare Debian machines: 30 minutes, as root; FRESH_ARGS='bookworm sid'
	@tools/check-fresh $(FRESH_ARGS)

check-unit: ## ... the unit tests only
	@tools/install-deps build check
	@$(MAKE) check-unit-now

check-unit-now: unit-tests
	@tools/run-tests $(BUILD) unit

check-integration: ## ... the integration tests only; PYTEST_ARGS='-k json' chooses
	@tools/install-deps build check
	@$(MAKE) check-integration-now

check-integration-now: all $(BUILD)/bench/libfloor.so
	@tools/run-tests $(BUILD) integration

check-stress: ## ... the stress tests only, their short form
	@tools/install-deps build check
	@$(MAKE) check-stress-now

check-stress-now: all killable
	@tools/run-tests $(BUILD) stress

stress: ## ... their long form: kills for PYSHIM_STRESS_SECONDS=600, everything in full size
	@PYSHIM_STRESS_SECONDS=$${PYSHIM_STRESS_SECONDS:-600} $(MAKE) check-stress

litmus: $(BUILD)/litmus

check-sharp: ## ... that each ordering label's litmus test finds the order weakened
	@tools/install-deps build check
	@tools/check-sharp

check-model: ## ... the model of the hand-over between target and readers, with spin
	@tools/install-deps build check
	@tools/check-model $(BUILD)

check-cpython: ## CPython's own suite with and without the shim: 2 hours; CPYTHON_ARGS=test_gc, PYTHONS=...
	@tools/install-deps build check
	@$(MAKE) all
	@tests/cpython/compare --build $(BUILD) $(CPYTHON_ARGS)

killable:
	@$(MAKE) KILLPOINTS=1 $(BUILD)/killpoints/libpyshim.so

fuzz: ## fuzz the reader with libFuzzer for FUZZ_SECONDS=60, and scribble in what it reads
	@tools/install-deps build fuzz
	@$(MAKE) all $(BUILD)/fuzz/shrink
	@$(MAKE) CC=$(CLANG) FUZZ=1 SAN=address$(comma)undefined fuzzers
	@$(MAKE) SAN=address$(comma)undefined replays
	@tools/fuzz $(BUILD)

bench: ## measure what it costs, beside cProfile: 15 minutes; BENCH_ARGS='--rounds 3', PYTHONS=...
	@tools/install-deps build bench
	@$(MAKE) all $(BUILD)/bench/libfloor.so
	@tools/bench --build $(BUILD) --json $(BUILD)/bench/bench.json $(BENCH_ARGS)

bench-accuracy: ## how right the reported times are, beside cProfile's: 20 minutes; PYTHONS=...
	@tools/install-deps build bench
	@$(MAKE) all
	@tools/bench-accuracy --build $(BUILD) --json $(BUILD)/bench/accuracy.json $(BENCH_ARGS)

bench-instr: ## count the instructions of the hot path, beside their budget; needs no quiet machine
	@tools/install-deps build check
	@$(MAKE) all
	@tools/bench-instr --build $(BUILD)

demo: ## install what is missing, build, profile a real program, print the report
	@tools/install-deps build
	@$(MAKE) all
	@tools/demo $(BUILD)

install: all ## install below PREFIX (/usr/local), and DESTDIR
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(DOCDIR)' \
		'$(DESTDIR)$(INCLUDEDIR)/pyprof' '$(DESTDIR)$(COMPLETIONDIR)'
	$(INSTALL) -m 644 $(BUILD)/libpyshim.so '$(DESTDIR)$(LIBDIR)'
	$(INSTALL) -m 755 $(BUILD)/pyshim $(BUILD)/pyshim-read '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 include/pyprof/abi.h '$(DESTDIR)$(INCLUDEDIR)/pyprof'
	$(INSTALL) -m 644 README.md '$(DESTDIR)$(DOCDIR)'
	$(foreach c,$(COMPLETED),$(INSTALL) -m 644 tools/completion.bash '$(call completion,$(c))' &&) true
	$(foreach m,$(MANUALS),$(INSTALL) -D -m 644 $(m) '$(call manual,$(m))' &&) true

uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(LIBDIR)/libpyshim.so' \
		'$(DESTDIR)$(BINDIR)/pyshim' '$(DESTDIR)$(BINDIR)/pyshim-read' \
		'$(DESTDIR)$(INCLUDEDIR)/pyprof/abi.h' '$(DESTDIR)$(DOCDIR)/README.md' \
		$(foreach c,$(COMPLETED),'$(call completion,$(c))') \
		$(foreach m,$(MANUALS),'$(call manual,$(m))')
	-rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(INCLUDEDIR)/pyprof' '$(DESTDIR)$(DOCDIR)'

# docs/man/pyshim-read.1 -> MANDIR/man1/pyshim-read.1
manual = $(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))

# bash-completion looks for a file with the name of the command.
COMPLETED := pyshim pyshim-read
completion = $(DESTDIR)$(COMPLETIONDIR)/$(1)

lint: $(BUILD)/libpyshim.so ## check includes, exported symbols, layout, names in Python and shell
	@tools/check-layers
	@tools/check-exports $(BUILD)/libpyshim.so
	@command -v $(CLANG_FORMAT) >/dev/null || { echo "lint: layout: not checked, found no\
	 $(CLANG_FORMAT), expected version 14 or later (\`make deps\` installs it)" >&2; exit 1; }
	@$(CLANG_FORMAT) --dry-run -Werror $(SOURCES)
	@for tool in pyflakes3 shellcheck; do command -v $$tool >/dev/null || { echo "lint: scripts:\
	 not checked, found no $$tool (\`make deps\` installs it)" >&2; exit 1; }; done
	@pyflakes3 $(call script,python) $(wildcard tests/*.py tests/*/*.py) tests/data/pstats/make.py
	@shellcheck $(call script,sh) .ci/run

format: ## lay out the sources in place with clang-format
	$(CLANG_FORMAT) -i $(SOURCES)

clean: ## remove build/, sanitised trees too
	rm -rf build

deps: ## install everything that building, testing and linting needs
	@tools/install-deps build check lint

help: ## this list
	@echo 'usage: make [target]... [CC=clang] [CFLAGS=...] [V=1] [WERROR=1] [SAN=address,undefined]'
	@sed -n 's/^\([a-z-]*\):[^#=]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 21
