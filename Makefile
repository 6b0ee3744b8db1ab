# flowrun, for GNU make. 'make help' lists the targets; DESTDIR, PREFIX, LIBDIR,
# CC, CPPFLAGS, CFLAGS, LDFLAGS, PKG_CONFIG are honoured. Also:
#    BUILD=dir       where everything is built
#    LUAS=lua5.4     one Lua only; LUAS= builds and tests the C library alone
#    T=word N=20     'make check': tests whose name has the word, 20 times
#    V=1             commands and tests shown whole

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
BUILD      ?= build
LUAS       ?= lua5.4 luajit
CFLAGS     ?= -O2 -g
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
export LUAS PKG_CONFIG CC

VERSION := $(shell sed -n 's/^\#define FRUN_VERSION "\(.*\)"/\1/p' engine/flowrun.h)
FLAGS    = -std=gnu11 -Wall -Wextra -Wshadow -Wconversion -Iengine -pthread \
           -fPIC -fvisibility=hidden '-ffile-prefix-map=$(CURDIR)=.' $(CPPFLAGS) $(CFLAGS)
quiet    = $(findstring s,$(firstword -$(filter-out --%,$(MAKEFLAGS))))
say      = $(if $V,,@$(if $(quiet),,echo '  $1  $@';)) mkdir -p $(@D);
compile  = $(call say,cc) $(CC) $(FLAGS) -MMD -MP -c -o $@ $<
link     = $(call say,ld) $(CC) $(FLAGS) $(LDFLAGS)
LIBS     = -ldl -lm
SQLITE   = $(call pkg,--libs sqlite3)
# As many jobs as there are processors, unless the user said otherwise.
JOBS     = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
MAKEFLAGS += --no-print-directory

pkg = $(shell $(PKG_CONFIG) $1 2>/dev/null)
# A static library where the system has one: an empty script then starts in 0.75
# of the time of lua5.4, against 0.83 with shared ones.
library = $(or $(wildcard $(call pkg,--variable=libdir $1)/$2),$(call pkg,--libs $1))

# Sources ---------------------------------------------------------------------
CORE    := $(wildcard $(addsuffix /*.c,$(addprefix engine/,base data core pools pools/* api report)))
SCRIPT  := $(wildcard engine/script/*.c)
COMMAND := $(wildcard engine/command/*.c)
HALF    := $(wildcard lua/flowrun/*.lua)
TESTS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/c/*.c))
BENCHES := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
OBJECTS  = $(CORE_O) $(foreach l,$(LUAS),$($l_SCRIPT) $($l_COMMAND) $($l_HALF))
CORE_O  := $(CORE:engine/%.c=$(BUILD)/core/%.o)
PAGE    := $(wildcard engine/report/page/* engine/report/page/vendor/*)
ARCHIVE := $(BUILD)/libflowrun.a
SHARED  := $(BUILD)/libflowrun.so.0

lua5.4_PROGRAM := $(BUILD)/flowrun
lua5.4_MODULE  := $(BUILD)/lua/5.4/flowrun.so
lua5.4_ARCHIVE := liblua5.4.a
luajit_PROGRAM := $(BUILD)/flowrun-luajit
luajit_MODULE  := $(BUILD)/lua/5.1/flowrun.so
luajit_ARCHIVE := libluajit-5.1.a
PROGRAMS := $(foreach l,$(LUAS),$($l_PROGRAM))
MODULES  := $(foreach l,$(LUAS),$($l_MODULE))
LIBRARIES := $(foreach l,$(LUAS),$(BUILD)/libflowrun-$l.a $(BUILD)/libflowrun-$l.so.0)
MISSING  := $(shell for p in sqlite3 $(if $(LUAS),$(LUAS) yaml-0.1); do \
              $(PKG_CONFIG) --exists $$p 2>/dev/null || echo $$p; done)
needs    = $(if $(MISSING),$(error $(PKG_CONFIG) finds no $(MISSING); .ci/deps installs it))

PAGES    := man/flowrun.1 $(addprefix $(BUILD)/man/,flowrun.3 $(if $(LUAS),flowrun-lua.7))

.PHONY: all run solver check check-page check-asan check-tsan check-clang bench \
        lint install uninstall rockspec amalgamation dist clean help clang-all FORCE
.DELETE_ON_ERROR:

all: $(ARCHIVE) $(SHARED) $(LIBRARIES) $(PROGRAMS) $(MODULES) $(PAGES) ## build everything

# The C library ---------------------------------------------------------------
# Other flags compile all again; other lists of sources link again.
export now_flags = $(CC) $(FLAGS) $(SCRIPT_CFLAGS) $(LDFLAGS)
export now_files = $(CORE) $(SCRIPT) $(COMMAND)
$(BUILD)/flags $(BUILD)/files: FORCE
	@mkdir -p $(@D); echo "$$now_$(@F)" | cmp -s - $@ || echo "$$now_$(@F)" >$@

$(BUILD)/core/%.o: engine/%.c $(BUILD)/flags
	$(needs)$(compile) $(call pkg,--cflags sqlite3)

$(ARCHIVE): $(CORE_O) $(BUILD)/files
	$(call say,ar) rm -f $@; $(AR) qcs $@ $(filter %.o,$^)

# It stays mapped when a host unloads it: a thread that was given up, since its
# task did not end, still comes back to it.
$(SHARED): $(CORE_O) engine/flowrun.map $(BUILD)/files
	$(link) -shared -Wl,-soname,libflowrun.so.0 -Wl,-z,defs -Wl,-z,nodelete \
	  -Wl,--version-script=engine/flowrun.map -o $@ $(filter %.o,$^) $(SQLITE) $(LIBS)
	@ln -sf libflowrun.so.0 $(BUILD)/libflowrun.so

# What is embedded (base/embed.h) -----------------------------------------------
$(BUILD)/core/report/page_text.o: $(PAGE)
$(foreach l,$(LUAS),$(BUILD)/$l/script/embedded.o): $(HALF)

# The Lua half compiled, for the program that has the same Lua inside as what did
# it: a start is a millisecond shorter. Where that cannot run here it is the text,
# and for LuaJIT, which compiles it to other bytes in each build.
ifneq ($(wildcard $(call pkg,--variable=libdir lua5.4)/liblua5.4.a),)
lua5.4_HALF := $(BUILD)/lua5.4/half.o
endif
$(BUILD)/lua5.4/dump: .ci/dump.c
	$(call say,ld) $(CC) -o $@ $< $(lua5.4_CFLAGS) $(lua5.4_LIBS) $(LIBS)
$(BUILD)/lua5.4/half/%.lua: lua/flowrun/%.lua $(BUILD)/lua5.4/dump
	@mkdir -p $(@D); $(BUILD)/lua5.4/dump $< >$@ || cp $< $@
$(BUILD)/lua5.4/half.o: engine/script/embedded.c $(BUILD)/flags \
  $(HALF:lua/flowrun/%=$(BUILD)/lua5.4/half/%)
	$(compile) $(lua5.4_CFLAGS) -DFRI_LUA_HALF='"$(BUILD)/lua5.4/half/"'

# Programs and modules, once for each Lua -------------------------------------
# A host with scripts links one library that has the engine inside, too: what is
# private in it is in no other.
# A program exports Lua's C API, and the engine's, to the C modules it loads. A
# module has the engine inside and takes Lua's API from its host. It stays mapped
# when the host closes its state, as such a library does: threads may be ending.
define lua
$1_CFLAGS  := $(call pkg,--cflags $1 yaml-0.1)
$1_LIBS    := $(call library,$1,$($1_ARCHIVE)) $(call library,yaml-0.1,libyaml.a) \
              $(call library,sqlite3,libsqlite3.a)
$1_SCRIPT  := $(SCRIPT:engine/%.c=$(BUILD)/$1/%.o)
$1_COMMAND := $(COMMAND:engine/%.c=$(BUILD)/$1/%.o)
$1_INSIDE  := $$(if $($1_HALF),$$(filter-out %/embedded.o,$$($1_SCRIPT)) $($1_HALF),$$($1_SCRIPT))

$(BUILD)/$1/%.o: engine/%.c $(BUILD)/flags
	$$(needs)$$(compile) $$($1_CFLAGS) $(SCRIPT_CFLAGS)

$($1_PROGRAM): $$($1_COMMAND) $$($1_INSIDE) $(CORE_O) $(BUILD)/files
	$$(link) -Wl,-E -Wl,--exclude-libs,libyaml.a:libsqlite3.a -o $$@ $$(filter %.o,$$^) $$($1_LIBS) $(LIBS)

$(BUILD)/libflowrun-$1.a: $$($1_SCRIPT) $(CORE_O) $(BUILD)/files
	$$(call say,ar) rm -f $$@; $(AR) qcs $$@ $$(filter %.o,$$^)

$(BUILD)/libflowrun-$1.so.0: $$($1_SCRIPT) $(CORE_O) engine/flowrun.map $(BUILD)/files
	$$(link) -shared -Wl,-soname,libflowrun-$1.so.0 -Wl,-z,defs -Wl,-z,nodelete \
	  -Wl,--version-script=engine/flowrun.map -o $$@ $$(filter %.o,$$^) \
	  $(call pkg,--libs $1 yaml-0.1) $(SQLITE) $(LIBS)
	@ln -sf libflowrun-$1.so.0 $(BUILD)/libflowrun-$1.so

$($1_MODULE): $$($1_SCRIPT) $(ARCHIVE) engine/module.map
	$$(link) -shared -Wl,--version-script=engine/module.map \
	  -o $$@ $$(filter-out %.map,$$^) $(call pkg,--libs yaml-0.1) $(SQLITE) $(LIBS)
endef
$(foreach l,$(LUAS),$(eval $(call lua,$l)))

# Manual pages that say what the header and the reference say -----------------
page = $(if $(V),,@$(if $(quiet),,echo '  man $@';)) mkdir -p $(@D); \
  awk -v date="$$(sed -n 's/^\.Dd //p' man/flowrun.1)" -f $^ >$@

$(BUILD)/man/flowrun.3: man/header.awk engine/flowrun.h
	$(page)
$(BUILD)/man/flowrun-lua.7: man/reference.awk docs/reference.md
	$(page)

# Tests -----------------------------------------------------------------------
run: ## install what is missing, build, run the first example (ARGS=...)
	@.ci/deps
	@$(MAKE) $(JOBS) all
	$(firstword $(PROGRAMS)) workflows/crash_grid.lua $(ARGS)

solver: ## install CalculiX (MESH=1: and gmsh), run the crash grid on it (ARGS=...)
	@.ci/deps solver $(if $(MESH),mesh)
	@$(MAKE) $(JOBS) all
	$(firstword $(PROGRAMS)) workflows/solver_grid.lua --csv $(BUILD)/solver_grid.csv $(ARGS)
	$(if $(MESH),$(firstword $(PROGRAMS)) workflows/mesh_dag.lua)

check: ## install what is missing, build, run every test (T=word N=times V=1)
	@.ci/deps check
	@$(MAKE) $(JOBS) all $(TESTS)
	@BUILD=$(BUILD) VERSION=$(VERSION) tests/run

check-page: ## the report, opened and used in a real browser, which it installs
	@.ci/deps check browser
	@$(MAKE) $(JOBS) all $(TESTS)
	@BUILD=$(BUILD) VERSION=$(VERSION) T=page tests/run

# These two fail each allocation in turn.
$(BUILD)/tests/c/value $(BUILD)/tests/c/codec: \
  private LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(BUILD)/tests/c/%: tests/c/%.c $(ARCHIVE)
	$(link) $(call pkg,--cflags check) -MMD -MP -o $@ $< $(ARCHIVE) \
	  $(call pkg,--libs check) $(SQLITE) $(LIBS)
$(BUILD)/bench/%: bench/%.c $(ARCHIVE)
	$(link) -MMD -MP -o $@ $< $(ARCHIVE) $(SQLITE) $(LIBS)

check-asan: ## the same with the address, leak and undefined-behaviour sanitizers
	@$(MAKE) check BUILD=$(BUILD)/asan TIMEOUT=300 CFLAGS="-O1 -g \
	  -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"

# Errors of Lua jump over C frames past the sanitizer's records of calls, which
# then overflow: the files that speak Lua are built without these records.
check-tsan: ## the same with the thread sanitizer
	@$(MAKE) check BUILD=$(BUILD)/tsan TIMEOUT=300 \
	  CFLAGS="-O1 -g -fsanitize=thread" \
	  SCRIPT_CFLAGS="$(if $(findstring clang,$(CC)),-mllvm -,--param \
	  )tsan-instrument-func-entry-exit=0"

check-clang: ## everything built by clang without a warning
	@.ci/deps check clang
	@$(MAKE) $(JOBS) BUILD=$(BUILD)/clang CC=clang CFLAGS="-O1 -g -Werror" clang-all
clang-all: all $(TESTS) $(BENCHES)

bench: ## the figures, each beside its peer or limit
	@.ci/deps check
	@$(MAKE) $(JOBS) all $(BENCHES)
	@BUILD=$(BUILD) bench/run

lint: ## cppcheck, clang-tidy, and the rules of the layers
	@.ci/deps lint
	@.ci/lint

# Installing ------------------------------------------------------------------
MAN = $(foreach p,$(PAGES),$(call \
        $1,644,$(PREFIX)/share/man/man$(patsubst .%,%,$(suffix $p)),$p))
# All files, handed to the function $1: their mode, their place, what they are.
define files
$(call $1,755,$(PREFIX)/bin,$(PROGRAMS))
$(call $1,644,$(PREFIX)/include,engine/flowrun.h)
$(call $1,644,$(LIBDIR),$(ARCHIVE) $(SHARED) $(LIBRARIES))
$(call $1,644,$(LIBDIR)/pkgconfig,$(PCS))
$(foreach m,$(MODULES),$(call $1,644,$(LIBDIR)/$(patsubst %/,%,$(dir $(m:$(BUILD)/%=%))),$m))
$(call $1,644,$(PREFIX)/share/flowrun,$(wildcard lua/flowrun.d.lua))
$(MAN)
endef
define put
$(INSTALL) -d "$(DESTDIR)$2"
$(INSTALL) -m $1 $3 "$(DESTDIR)$2"

endef
define drop
rm -f $(patsubst %,"$(DESTDIR)$2/%",$(notdir $3))

endef
# Directories go with the files, except those that a system has without us.
PLACES = $(subst $(PREFIX)/,,$(call files,place))
place  = $2

LINKS  = libflowrun.so $(foreach l,$(LUAS),libflowrun-$l.so)
PCS    = $(BUILD)/flowrun.pc $(foreach l,$(LUAS),$(BUILD)/flowrun-$l.pc)

install: all $(PCS) ## install below PREFIX (and LIBDIR), DESTDIR before them
	$(call files,put)
	@for so in $(LINKS); do ln -sf $$so.0 "$(DESTDIR)$(LIBDIR)/$$so"; done
	@test -n "$(DESTDIR)" || ldconfig 2>/dev/null || true

uninstall: ## remove what install has put there
	$(call files,drop)
	rm -f $(patsubst %,"$(DESTDIR)$(LIBDIR)/%",$(LINKS))
	@{ (cd "$(DESTDIR)$(LIBDIR)" && rmdir lua/5.? lua pkgconfig); \
	  cd "$(DESTDIR)$(PREFIX)" && rmdir $(if $(filter /usr /usr/local,\
	  $(DESTDIR)$(PREFIX)),$(filter share/%,$(PLACES)),-p $(filter-out /%,$(PLACES))); \
	} 2>/dev/null || true

$(BUILD)/%.pc: %.pc.in FORCE
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	  -e 's|@VERSION@|$(VERSION)|' $< >$@

# The rockspec with the sources that there are.
ROCK := flowrun-scm-1.rockspec
$(BUILD)/$(ROCK): FORCE
	@mkdir -p $(@D); { sed '/ sources = {$$/q' $(ROCK); \
	  printf '            "%s",\n' $(sort $(CORE) $(SCRIPT)); \
	  sed '1,/ sources = {$$/d; /^ *"engine/d' $(ROCK); } >$@

rockspec: $(BUILD)/$(ROCK) ## renew the list of sources in the rockspec
	@cp $< .

WHOLE := $(filter-out engine/report/%,$(CORE)) # the C library, no more
$(BUILD)/flowrun-all.c: .ci/amalgamate.lua engine/flowrun.h $(WHOLE) $(firstword $(PROGRAMS))
	$(call say,all) $(firstword $(PROGRAMS)) $< engine/flowrun.h $(WHOLE) >$@
	@cp engine/flowrun.h $(@D)

amalgamation: $(BUILD)/flowrun-all.c ## the C library as one file, build/flowrun-all.c and its header

dist: amalgamation ## a tarball of what is committed, with the library as one file
	@test -e .git || { echo "flowrun: 'make dist' works in a git clone only" >&2; exit 1; }
	git archive --format=tar.gz -9 -o $(BUILD)/flowrun-$(VERSION).tar.gz \
	  --prefix=flowrun-$(VERSION)/ --add-file=engine/flowrun.h \
	  --add-file=$(BUILD)/flowrun-all.c HEAD

clean: ## remove everything that was built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

-include $(OBJECTS:.o=.d) $(addsuffix .d,$(TESTS) $(BENCHES))
