# hearth: `make demo` shows it, `make check` tests it, `make help` says the rest.
BUILD   ?= build
DEPS    ?= build/deps
PREFIX  ?= /usr/local
SBINDIR ?= /sbin
CC      ?= gcc
SAN     ?=
MODEL   ?=
NAME    ?= mount
LLAMA   ?=

ifeq ($(origin CC),default)
CC = gcc
endif
V ?= 0
MAKEFLAGS += --no-builtin-rules
Q = $(if $(filter 1,$(V)),,@)

VERSION  := 0.1.0
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -DHEARTH_VERSION='"$(VERSION)"'
CFLAGS   ?= -O2 -g
WARN     := -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef $(WERROR)
LDLIBS   := -lpthread -lm

# libfuse: the system's when it is new enough, else the static one that the set-up built
FUSE_DIR := $(DEPS)/libfuse
FUSE_CPPFLAGS = $(if $(wildcard $(FUSE_DIR)/VERSION),-isystem $(FUSE_DIR)/include,$(shell pkg-config --cflags fuse3))
FUSE_LIBS     = $(if $(wildcard $(FUSE_DIR)/VERSION),$(FUSE_DIR)/lib/libfuse3.a -ldl -lpthread,$(shell pkg-config --libs fuse3))
FS_LIBS       = $(FUSE_LIBS) -ljansson -lncursesw $(TIER_LIBS)
TIER_LIBS     = -luring -lsqlite3 -lxxhash -lnettle

src_of = $(wildcard $(1)/*.c)
obj_of = $(patsubst %.c,$(BUILD)/%.o,$(call src_of,$(1)))

FOLDERS   := fs tiering engine kernels
FS_OBJ     = $(filter-out $(BUILD)/fs/fs_main.o,$(call obj_of,fs)) $(call obj_of,tiering)
ENGINE_OBJ = $(filter-out $(BUILD)/engine/run_main.o,$(call obj_of,engine)) $(call obj_of,kernels)

UNIT_TESTS  = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
FAULT_TESTS = $(patsubst tests/fault/%.c,$(BUILD)/tests/fault/%,$(wildcard tests/fault/test_*.c))
FUZZERS     = $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOL_DIRS   = $(filter-out lib,$(notdir $(patsubst %/,%,$(wildcard tests/e2e/*/))))
TOOL_LIB    = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/e2e/lib/*.c))
TOOL_FILES  = $(wildcard tests/e2e/*.c tests/crash/*.c tests/bench/*.c)
BENCH_DIRS  = $(notdir $(patsubst %/,%,$(wildcard tests/bench/*/)))
TOOLS       = $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(TOOL_FILES))) \
	      $(addprefix $(BUILD)/tests/,$(TOOL_DIRS) $(addsuffix _bench,$(BENCH_DIRS))) \
	      $(if $(wildcard tests/fault/hearth_fault_main.c),$(BUILD)/tests/hearth-fault)
PROGRAMS    = $(BUILD)/hearth $(BUILD)/hearth-run
LIB_OBJ     = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %_main.c $(wildcard tests/*/test_*.c tests/*/fuzz_*.c),\
	      $(wildcard tests/unit/*.c tests/fault/*.c tests/fuzz/*.c)))
LIBS        = $(BUILD)/libtests.a $(BUILD)/libfs.a $(BUILD)/libengine.a

.PHONY: all deps deps-tests demo check check-unit check-e2e check-long check-posix asan tsan fuzz bench lint golden analyze \
	install uninstall clean distclean help tests
all: deps
	$(Q)$(MAKE) --no-print-directory $(PROGRAMS)

help:
	@sed -n 's/^## //p' Makefile

## make               build hearth and hearth-run into build/ (installs what is missing)
## make demo          a home, a mount, a story told through it    [MODEL=FILE.gguf]
## make check         all tests; the last line is 'N passed, N failed, N skipped'
## make check-unit    unit, fault and fuzz regression tests only
## make check-e2e     tests over a real mount only (root)
## make check-long    the long forms of the random tests
## make check-posix   outside suites: PJDFSTEST=DIR FSX=PATH
## make asan | tsan   the tests under AddressSanitizer and UBSan, or ThreadSanitizer
## make fuzz          every fuzz target with libFuzzer            [SECONDS=60]
## make bench         NAME=mount: ours and the peer in one run; writes build/bench/NAME.csv
## make lint          the repository's rules
## make golden        tests/golden anew with llama.cpp: LLAMA='COMMAND of llama-results'
## make install       into PREFIX (/usr/local), DESTDIR honoured
deps:
	@contrib/setup/deps.sh $(DEPS)
deps-tests:
	@contrib/setup/deps.sh $(DEPS) --tests

# ---- objects and programs -------------------------------------------------------------------
# the instruction set is in the file's name; references must not be contracted to fused operations.  GCC before 14
# stores 64-byte vectors aligned into ASan's fake stack frames, which are not (its bug 110027): AVX-512 goes without
ISA_FLAGS = $(if $(findstring _avx2.,$<),-mavx2 -mfma -mf16c)\
 $(if $(findstring _avx512.,$<),-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c\
$(if $(findstring address,$(SAN)), --param=asan-use-after-return=0))\
 $(if $(findstring _ref.,$<),-ffp-contract=off)
HALF_FLAGS = $(if $(filter fs/% tests/fault/% tests/unit/test_fs%,$<),$(FUSE_CPPFLAGS))

ALL_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(foreach d,$(FOLDERS),$(wildcard $(d)/*.c)) $(wildcard tests/*/*.c tests/*/*/*.c))
$(ALL_OBJ): $(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC    $<")
	$(Q)$(CC) $(CPPFLAGS) $(HALF_FLAGS) $(WARN) $(CFLAGS) $(ISA_FLAGS) $(SAN) -MMD -MP -c -o $@ $<

define archive
	@rm -f $@
	$(if $(Q),@echo "  AR    $@")
	$(Q)ar rcs $@ $^
endef
$(BUILD)/libfs.a: $(FS_OBJ) ; $(archive)
$(BUILD)/libengine.a: $(ENGINE_OBJ) ; $(archive)
$(BUILD)/libtests.a: $(LIB_OBJ) ; $(archive)

define link
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
endef
$(BUILD)/hearth: $(BUILD)/fs/fs_main.o $(BUILD)/libfs.a
	$(link) $(FS_LIBS) $(LDLIBS)
$(BUILD)/hearth-run: $(BUILD)/engine/run_main.o $(BUILD)/libengine.a
	$(link) -ljansson -lxxhash -luring $(LDLIBS)
$(BUILD)/tests/hearth-fault: $(BUILD)/tests/fault/hearth_fault_main.o $(BUILD)/libtests.a $(BUILD)/libfs.a
	$(link) $(FS_LIBS) $(LDLIBS)

$(UNIT_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIBS)
	$(link) $(FS_LIBS) -lcmocka $(LDLIBS)
$(FAULT_TESTS): $(BUILD)/tests/fault/%: $(BUILD)/tests/fault/%.o $(LIBS)
	$(link) $(FS_LIBS) -lcmocka $(LDLIBS)
$(FUZZERS): CPPFLAGS += -DFUZZ_MAIN
$(FUZZERS): $(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(LIBS)
	$(link) -ljansson $(TIER_LIBS) $(LDLIBS)
# a tool is one file, or a folder of its own below tests/e2e; a bench may be a folder that links the product
define tool_dir
$(BUILD)/tests/$(1): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/e2e/$(1)/*.c)) $(TOOL_LIB)
	$$(link) $$(LDLIBS)
endef
$(foreach d,$(TOOL_DIRS),$(eval $(call tool_dir,$(d))))
define tool_file
$(BUILD)/tests/$(basename $(notdir $(1))): $(patsubst %.c,$(BUILD)/%.o,$(1)) $(TOOL_LIB)
	$$(link) $$(LDLIBS)
endef
$(foreach f,$(TOOL_FILES),$(eval $(call tool_file,$(f))))

define bench_dir
$(BUILD)/tests/$(1)_bench: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/bench/$(1)/*.c)) $(BUILD)/libfs.a
	$$(link) -ljansson $$(TIER_LIBS) $$(LDLIBS)
endef
$(foreach d,$(BENCH_DIRS),$(eval $(call bench_dir,$(d))))

tests: $(PROGRAMS) $(UNIT_TESTS) $(FAULT_TESTS) $(FUZZERS) $(TOOLS)

# ---- tests ----------------------------------------------------------------------------------
RUN_TESTS = BUILD=$(BUILD) tests/run.sh

check: deps-tests
	$(Q)$(MAKE) --no-print-directory tests WERROR=-Werror
	$(Q)$(RUN_TESTS) lint unit e2e sanitized
check-unit: deps-tests
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)$(RUN_TESTS) lint unit
check-e2e: deps-tests
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)$(RUN_TESTS) e2e
check-long: deps-tests
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)HEARTH_LONG=1 $(RUN_TESTS) lint unit e2e sanitized
check-posix: deps-tests
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)BUILD=$(BUILD) PJDFSTEST=$(PJDFSTEST) FSX=$(FSX) tests/e2e/outside.sh

ASAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TSAN = -fsanitize=thread
asan: deps-tests
	$(Q)$(MAKE) --no-print-directory tests BUILD=$(BUILD)/asan SAN="$(ASAN)" CFLAGS="-O1 -g"
	$(Q)BUILD=$(BUILD)/asan tests/run.sh unit e2e
tsan: deps-tests
	$(Q)$(MAKE) --no-print-directory tests BUILD=$(BUILD)/tsan SAN="$(TSAN)" CFLAGS="-O1 -g"
	$(Q)BUILD=$(BUILD)/tsan tests/run.sh unit e2e
SECONDS ?= 60
fuzz: deps-tests
	$(Q)BUILD=$(BUILD) SECONDS_EACH=$(SECONDS) tests/fuzz/run.sh
bench: deps-tests
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)BUILD=$(BUILD) tests/bench/$(NAME).sh
lint:
	$(Q)BUILD=$(BUILD) tests/lint/run.sh
golden: deps-tests
	$(if $(LLAMA),,$(error say LLAMA='COMMAND' that runs llama-results on files of this folder))
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/unit/test_golden $(BUILD)/tests/unit/test_golden_archs
	$(Q)tests/golden/make-golden.sh $(BUILD)/tests/unit $(LLAMA)
demo: all
	$(Q)BUILD=$(BUILD) contrib/demo/demo.sh $(MODEL)

# ---- installation -----------------------------------------------------------------------------
MAN1 = $(wildcard docs/man/*.1)
MAN7 = $(wildcard docs/man/*.7)
MAN8 = $(wildcard docs/man/*.8)
install: all
	install -D -m 0755 $(BUILD)/hearth $(DESTDIR)$(PREFIX)/bin/hearth
	install -D -m 0755 $(BUILD)/hearth-run $(DESTDIR)$(PREFIX)/bin/hearth-run
	install -d $(DESTDIR)$(SBINDIR)         # mount(8) looks for its helpers in /sbin only
	ln -sf $(PREFIX)/bin/hearth $(DESTDIR)$(SBINDIR)/mount.hearth
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(MAN1)
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man7 $(MAN7)
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(MAN8)
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/hearth $(DESTDIR)$(PREFIX)/bin/hearth-run $(DESTDIR)$(SBINDIR)/mount.hearth
	rm -f $(foreach m,$(notdir $(MAN1)),$(DESTDIR)$(PREFIX)/share/man/man1/$(m)) \
	      $(foreach m,$(notdir $(MAN7)),$(DESTDIR)$(PREFIX)/share/man/man7/$(m)) \
	      $(foreach m,$(notdir $(MAN8)),$(DESTDIR)$(PREFIX)/share/man/man8/$(m))
clean:
	rm -rf $(filter-out $(BUILD)/deps,$(wildcard $(BUILD)/*))
distclean:
	rm -rf $(BUILD)

-include $(shell find $(addprefix $(BUILD)/,$(FOLDERS) tests) -name '*.d' -type f 2>/dev/null)
.SECONDARY:
