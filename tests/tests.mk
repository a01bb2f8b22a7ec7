# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The tests, benchmarks and fuzzers. Included by the Makefile.

.PHONY: unit-tests check check-now check-fresh check-unit check-unit-now check-integration \
	check-integration-now check-formats check-stress check-stress-now check-cpython check-model check-order-mutants \
	stress killpoints litmus replays fuzzers fuzz bench bench-accuracy bench-instr

CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)

# Each unit test is a program: its own file, the reader without its main, and Check.
UNIT_OBJS := $(call objects,tests/unit)
UNIT_TESTS := $(patsubst $(OBJ)/tests/unit/%.o,$(BUILD)/tests/%,$(UNIT_OBJS))

unit-tests: $(UNIT_TESTS)

$(OBJ)/tests/unit/%.o: tests/unit/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -I. -Ireader $(ALL_CFLAGS) $(CHECK_CFLAGS) \
		-MMD -MP -c -o $@ $<

$(UNIT_TESTS): $(BUILD)/tests/%: $(OBJ)/tests/unit/%.o $(READER_LIB) $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(READER_LIB) \
		$(CHECK_LIBS) $(READER_LIBS)

# Fuzz targets, linked with libFuzzer's main or with a main that replays inputs. The latter does not
# need clang.
FUZZ_TARGETS := recording pstats
FUZZ_LDFLAGS := -Wl,--wrap=calibration_processor
REPLAYS := $(FUZZ_TARGETS:%=$(BUILD)/fuzz/replay_%) $(BUILD)/fuzz/scribble

$(OBJ)/tests/fuzz/%.o: tests/fuzz/%.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

FUZZ_LINK = @mkdir -p $(@D); $(if $(silent),,echo '  LD	$@';) $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) \
	$(FUZZ_LDFLAGS) -o $@ $^ $(READER_LIBS)
FUZZ_DEPS := $(OBJ)/tests/fuzz/source.o $(READER_LIB)

$(BUILD)/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(FUZZ_DEPS)
	$(FUZZ_LINK) -fsanitize=fuzzer
$(BUILD)/fuzz/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o $(FUZZ_DEPS)
	$(FUZZ_LINK)
# The code that reads a recording, built so that each load of shared memory calls scribble.c.
RECORDING_READER_OBJS := $(call objects,reader/recording) $(OBJ)/reader/load/rebuild.o
TRACED_OBJS := $(RECORDING_READER_OBJS:$(OBJ)/%=$(OBJ)/traced/%)
$(OBJ)/traced/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(ALL_CPPFLAGS) -Ireader -include tests/fuzz/traced.h $(ALL_CFLAGS) \
		-MMD -MP -c -o $@ $<
$(BUILD)/fuzz/scribble: FUZZ_LDFLAGS += -Wl,--wrap=mmap,--wrap=munmap
$(BUILD)/fuzz/scribble: $(OBJ)/tests/fuzz/scribble.o $(TRACED_OBJS) $(FUZZ_DEPS)
	$(FUZZ_LINK)
$(BUILD)/fuzz/shrink: $(OBJ)/tests/fuzz/shrink.o
	@mkdir -p $(@D)
	$(call step,LD)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

replays: $(REPLAYS)
fuzzers: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%)
.SECONDARY: $(FUZZ_TARGETS:%=$(OBJ)/tests/fuzz/fuzz_%.o) $(OBJ)/tests/fuzz/replay.o

# The litmus tests: both sides in one program, always under ThreadSanitizer, in separate objects.
# Functions that tests/litmus defines replace those of the library.
LITMUS_OBJS := $(patsubst $(OBJ)/%,$(OBJ)/litmus/%,$(call objects,tests/litmus))
LITMUS_LIB := $(OBJ)/litmus.a
LITMUS_LIB_OBJS := $(patsubst $(OBJ)/%,$(OBJ)/litmus/%,$(call objects,shim/system shim/python \
	shim/record shim/engine shim/session reader/base reader/recording))
LITMUS_CPPFLAGS = -D_GNU_SOURCE -Iinclude -I. -Ishim -Ireader $(SHIM_CPPFLAGS) -DPYSHIM_KILLPOINTS \
	-include tests/litmus/points.h $(CHECK_CFLAGS)
LITMUS_CFLAGS = -std=gnu11 $(WARNINGS) -O1 -g -fsanitize=thread -pthread

$(OBJ)/litmus/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(LITMUS_CPPFLAGS) $(LITMUS_CFLAGS) -MMD -MP -c -o $@ $<

$(LITMUS_LIB): $(LITMUS_LIB_OBJS)
	@rm -f $@
	$(call step,AR)$(AR) rcs $@ $^

$(BUILD)/litmus: $(LITMUS_OBJS) $(LITMUS_LIB)
	$(call step,LD)$(CC) $(LITMUS_CFLAGS) -Wl,--wrap=mmap,--wrap=munmap -o $@ $^ \
		$(CHECK_LIBS) -ldl

-include $(UNIT_OBJS:.o=.d) $(LITMUS_OBJS:.o=.d) $(LITMUS_LIB_OBJS:.o=.d) $(TRACED_OBJS:.o=.d) $(wildcard $(OBJ)/tests/fuzz/*.d)

# Hooks that do nothing, for `bench`. Its undefined symbols are the interpreter's and resolve when
# the library is opened.
$(BUILD)/bench/libfloor.so: tests/bench/floor.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(call step,LD)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -fPIC -shared $(ALL_LDFLAGS) -o $@ $<

# "yes" if programs built with the address and undefined behaviour sanitizers run here.
CAN_USE_ASAN = $(shell echo 'int main(void) { return 0; }' | $(CC) -fsanitize=address,undefined \
	-x c -o $(OBJ)/can-use-asan - 2>/dev/null && $$(setarch -R echo setarch -R 2>/dev/null) \
	$(OBJ)/can-use-asan && echo yes)

# The same for the thread sanitizer. It needs fixed addresses, which setarch -R provides.
CAN_USE_TSAN = $(shell echo 'int main(void) { return 0; }' | $(CC) -fsanitize=thread \
	-x c -o $(OBJ)/can-use-tsan - 2>/dev/null && \
	setarch -R $(OBJ)/can-use-tsan 2>/dev/null && echo yes)

check: ## install missing packages, build, run every test; SAN=... runs the unit tests under it
	@tools/install-deps build check
	@$(MAKE) check-now

ifeq ($(SAN),)
check-now: all unit-tests killpoints $(BUILD)/bench/libfloor.so $(BUILD)/fuzz/shrink
	$(eval ASAN := $(CAN_USE_ASAN))
	$(eval TSAN := $(CAN_USE_TSAN))
	@$(if $(ASAN),$(MAKE) SAN=address$(comma)undefined unit-tests replays)
	@$(if $(TSAN),$(MAKE) litmus)
	@tools/run-tests $(BUILD) static unit $(if $(ASAN),sanitized fuzz,no-asan) \
		$(if $(TSAN),litmus order-mutants,no-tsan) model integration stress cpython bench
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

check-formats: ## ... the HTML report in a headless Chromium, which is not part of `check`
	@tools/install-deps build check picture
	@$(MAKE) all
	@PYSHIM_BUILD=$(abspath $(BUILD)) python3 -m pytest -p no:cacheprovider -q -rs tests/formats $(PYTEST_ARGS)

check-stress: ## ... the stress tests only, their short form
	@tools/install-deps build check
	@$(MAKE) check-stress-now

check-stress-now: all killpoints
	@tools/run-tests $(BUILD) stress

stress: ## ... their long form: kills for PYSHIM_STRESS_SECONDS=600, everything in full size
	@PYSHIM_STRESS_SECONDS=$${PYSHIM_STRESS_SECONDS:-600} $(MAKE) check-stress

litmus: $(BUILD)/litmus

check-order-mutants: ## ... that each ordering label's litmus test fails when the order is weakened
	@tools/install-deps build check
	@tools/check-order-mutants

check-model: ## ... the model of the hand-over between target and readers, with spin
	@tools/install-deps build check
	@tools/check-model $(BUILD)

check-cpython: ## CPython's own suite with and without the shim: 2 hours; CPYTHON_ARGS=test_gc, PYTHONS=...
	@tools/install-deps build check
	@$(MAKE) all
	@tests/cpython/compare --build $(BUILD) $(CPYTHON_ARGS)

killpoints:
	@$(MAKE) KILLPOINTS=1 $(BUILD)/killpoints/libpyshim.so

fuzz: ## fuzz the reader with libFuzzer for FUZZ_SECONDS=60, and scribble in the recordings it reads
	@tools/install-deps build fuzz
	@$(MAKE) all $(BUILD)/fuzz/shrink
	@$(MAKE) CC=$(CLANG) FUZZ=1 SAN=address$(comma)undefined fuzzers
	@$(MAKE) SAN=address$(comma)undefined replays
	@tools/fuzz $(BUILD)

bench: ## measure the overhead, beside cProfile's: 15 minutes; BENCH_ARGS='--rounds 3', PYTHONS=...
	@tools/install-deps build bench
	@$(MAKE) all $(BUILD)/bench/libfloor.so
	@tools/bench --build $(BUILD) --json $(BUILD)/bench/bench.json $(BENCH_ARGS)

bench-accuracy: ## measure the error of the reported times, beside cProfile's: 20 minutes; PYTHONS=...
	@tools/install-deps build bench
	@$(MAKE) all
	@tools/bench-accuracy --build $(BUILD) --json $(BUILD)/bench/accuracy.json $(BENCH_ARGS)

bench-instr: ## count the instructions of the hot path, beside their budget; needs no quiet machine
	@tools/install-deps build check
	@$(MAKE) all
	@tools/bench-instr --build $(BUILD)

