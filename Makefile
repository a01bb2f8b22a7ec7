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
FUZZ_CPPFLAGS := -DFIRST_ENTRIES=16u -DFIRST_NODES=16u
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

# $(call objects,FOLDER...): the object files of all sources in these folders.
objects = $(patsubst %.c,$(OBJ)/%.o,$(sort $(wildcard $(1:%=%/*.c))))
SHIM_OBJS := $(call objects,shim/*)
READER_OBJS := $(call objects,reader/*)
LAUNCHER_OBJS := $(call objects,tools/launcher)
MAIN_OBJ := $(OBJ)/reader/main/main.o
# The reader without its main: for the launcher and the tests.
READER_LIB := $(OBJ)/reader.a
MANUALS := $(sort $(wildcard docs/man/*))
SOURCES = $(sort $(wildcard include/*/*.h shim/*/*.[ch] reader/*/*.[ch] \
	tools/*/*.[ch] tests/*/*.[ch] tests/*/*/*.[ch]))
script = $(shell grep -slE '^\#!.*$(1)' tools/* tests/*/*) # those of this interpreter, by their first line

# One line for each step; with V=1 the whole command, with -s nothing.
silent = $(findstring s,$(firstword -$(MAKEFLAGS)))
step = $(if $(filter 1,$(V)),,@$(if $(silent),,echo '  $(1)	$@';))
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: all demo picture install uninstall lint format clean deps help FORCE

all: $(BUILD)/libpyshim.so $(BUILD)/pyshim-read $(BUILD)/pyshim ## build everything (default)

$(BUILD)/libpyshim.so: $(SHIM_OBJS) shim/pyshim.map $(OBJ)/flags
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(SHIM_LDFLAGS) $(ALL_LDFLAGS) -o $@.new $(SHIM_OBJS) -ldl
	@mv $@.new $@ # a process may have the old one mapped: it is replaced, never written over

$(BUILD)/pyshim-read: $(READER_OBJS) $(OBJ)/flags
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(READER_OBJS) \
		$(READER_LIBS)

$(BUILD)/pyshim: $(LAUNCHER_OBJS) $(READER_LIB) $(OBJ)/flags
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(LAUNCHER_OBJS) $(READER_LIB)

$(READER_LIB): $(filter-out $(MAIN_OBJ),$(READER_OBJS))
	@rm -f $@
	$(call step,AR)$(AR) rcs $@ $^

$(OBJ)/shim/%.o: shim/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ishim $(SHIM_CPPFLAGS) $(ALL_CFLAGS) $(SHIM_CFLAGS) \
		-MMD -MP -c -o $@ $<

$(OBJ)/reader/%.o: reader/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/reader/calibrate/calibrate.o: reader/calibrate/program.py # .incbin, which -MMD does not see
$(OBJ)/reader/format/html.o: $(OBJ)/page.html # .incbin too
$(OBJ)/reader/format/html.o: ALL_CPPFLAGS += -DHTML_PAGE=\"$(OBJ)/page.html\"
$(OBJ)/reader/base/places.o: $(OBJ)/places
$(OBJ)/reader/base/places.o: ALL_CPPFLAGS += $(PLACES_CPPFLAGS)

# The HTML report without its data, as one file.
$(OBJ)/page.html: tools/html-page $(wildcard reader/format/html/*)
	@mkdir -p $(@D)
	$(call step,PAGE)tools/html-page reader/format/html/page.html > $@

$(OBJ)/tools/launcher/%.o: tools/launcher/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Changes when a flag does, and everything with it.
FLAGS = $(CC) $(ALL_CPPFLAGS) $(SHIM_CPPFLAGS) $(ALL_CFLAGS) $(SHIM_CFLAGS) \
	$(SHIM_LDFLAGS) $(ALL_LDFLAGS)
$(OBJ)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS)' | cmp -s - $@ || printf '%s\n' '$(FLAGS)' > $@

$(OBJ)/places: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(PLACES_CPPFLAGS)' | cmp -s - $@ || printf '%s\n' '$(PLACES_CPPFLAGS)' > $@

-include $(SHIM_OBJS:.o=.d) $(READER_OBJS:.o=.d) $(LAUNCHER_OBJS:.o=.d)

include tests/tests.mk

demo: ## install what is missing, build, profile a real program, print the report
	@tools/install-deps build
	@$(MAKE) all
	@tools/demo $(BUILD)

picture: ## make README's picture, docs/picture.png, with Chromium and python3-pygments
	@tools/install-deps build picture
	@$(MAKE) all
	@tools/picture $(BUILD) docs/picture.png

install: all ## install below PREFIX (/usr/local), and DESTDIR
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(DOCDIR)' \
		'$(DESTDIR)$(INCLUDEDIR)/pyprof' '$(DESTDIR)$(COMPLETIONDIR)'
	$(INSTALL) -m 644 $(BUILD)/libpyshim.so '$(DESTDIR)$(LIBDIR)'
	$(INSTALL) -m 755 $(BUILD)/pyshim $(BUILD)/pyshim-read '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 644 $(FORMAT_HEADERS:%=include/pyprof/%) '$(DESTDIR)$(INCLUDEDIR)/pyprof'
	$(INSTALL) -m 644 README.md '$(DESTDIR)$(DOCDIR)'
	$(foreach c,$(COMPLETED),$(INSTALL) -m 644 tools/completion.bash '$(call completion,$(c))' &&) true
	$(foreach m,$(MANUALS),$(INSTALL) -D -m 644 $(m) '$(call manual,$(m))' &&) true

uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(LIBDIR)/libpyshim.so' \
		'$(DESTDIR)$(BINDIR)/pyshim' '$(DESTDIR)$(BINDIR)/pyshim-read' \
		$(FORMAT_HEADERS:%='$(DESTDIR)$(INCLUDEDIR)/pyprof/%') '$(DESTDIR)$(DOCDIR)/README.md' \
		$(foreach c,$(COMPLETED),'$(call completion,$(c))') \
		$(foreach m,$(MANUALS),'$(call manual,$(m))')
	-rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(INCLUDEDIR)/pyprof' '$(DESTDIR)$(DOCDIR)'

# The file format, for programs that read recordings.
FORMAT_HEADERS := format.h record.h

# docs/man/pyshim-read.1 -> MANDIR/man1/pyshim-read.1
manual = $(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))

# bash-completion looks for a file with the name of the command.
COMPLETED := pyshim pyshim-read
completion = $(DESTDIR)$(COMPLETIONDIR)/$(1)

lint: all ## check includes, circles, words, exported symbols, layout, Python and shell
	@tools/check-layers $(OBJ)
	@tools/check-words --quiet
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
	@sed -n 's/^\([a-z-]*\):[^#=]*## \(.*\)/  \1\t\2/p' Makefile tests/tests.mk | expand -t 21
