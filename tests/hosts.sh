#!/bin/sh
# hosts.sh - the programs of tests/hosts, each a host as there may be some, with
# the libraries as they were built; what hosts are compiled with stays as it is.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
cc=${CC:-cc} passed=0 failed=0
luas=${LUAS-lua5.4 luajit}
LD_LIBRARY_PATH=$BUILD
export LD_LIBRARY_PATH

fail() {
   failed=$((failed + 1))
   echo "hosts.sh: $1"
   sed 's/^/   /' log | head -30
}
# build PROGRAM SOURCE LIBRARY...
build() {
   program=$1 source=$2; shift 2
   if $cc -Wall -Wextra -Wshadow -Wconversion -Werror ${CFLAGS:-} \
      -I"$root/engine" -pthread -o "$program" "$root/tests/hosts/$source.c" \
      -L"$BUILD" "$@" -ldl >log 2>&1; then passed=$((passed + 1))
   else fail "build $source"; fi
}
# prints NAME COMMAND...: it succeeds and prints what stands on stdin.
prints() {
   name=$1; shift
   cat >wanted
   timeout 100 "$@" >got 2>log </dev/null
   status=$?
   if [ $status != 0 ]; then cat got >>log; fail "$name: status $status"
   elif cmp -s wanted got; then passed=$((passed + 1))
   else diff wanted got >log; fail "$name"; fi
}

# What hosts are compiled with ------------------------------------------------
case $(uname -m) in
x86_64|aarch64|riscv64)
   build layout layout
   prints layout ./layout <"$root/engine/flowrun.layout" ;;
esac

# Surroundings ----------------------------------------------------------------
build poor poor -lflowrun
for lacks in nothing signals children descriptors streams permissions stack; do
   prints "without $lacks" ./poor "$lacks" <<'END'
42
42
42
END
done
[ ! -x "$BUILD/flowrun" ] || prints "with a thread" ./poor threads <<'END'
42
a C function cannot run in forks here: the parent of the workers is another program, since the process had threads when it was made
42
END
timeout 100 ./poor "nearly all descriptors" >got 2>log
if [ "$(wc -l <got)" = 3 ] && ! grep -qv '^42$\|^no .*: ' got; then
   passed=$((passed + 1))
else cat got >>log; fail "nearly all descriptors"; fi

# Unloaded --------------------------------------------------------------------
case ${CFLAGS:-} in
*sanitize*) ;; # its library would have to be loaded first
*)
   build plugin plugin
   for library in libflowrun $(printf 'libflowrun-%s\n' $luas); do
      prints "unload $library" ./plugin "$BUILD/$library.so.0" <<'END'
unloaded
END
   done ;;
esac

# Scripts ---------------------------------------------------------------------
for lua in $luas; do
   whole=21
   case $lua in lua5.4) whole=21.0 ;; esac
   build scripts scripts -lflowrun-"$lua"
   rm -f kept.journal*
   prints "scripts [$lua]" ./scripts <<END
8	4	6	10
all pools: 0
8	4	6	10
again: 0
os.exit: 5
os.exit, tasks pending: 6
in a coroutine: 7
error: 1
false: 1
syntax: 2
nobody looked: 1
inner: 1
outer: 0
8	4	6	10
again: 0
$(for kind in threads forks; do cat <<KIND
native: 42
nested: 6
its own pool: 7
for ever: timeout: timed out after 0.2 s
too large: resource: the memory cap of 67108864 bytes was hit
raises: error: no $whole
no value of C: result: C has no place for what is in it
syntax: script.lua:1: unexpected symbol near '='
bytecode: script.lua: attempt to load a binary chunk (mode is 't')
KIND
done)
command: 42
first: run
second: from the journal
another text: run
a version: run
of another text: from the journal
END
   # Both libraries in one program: what is static is there twice.
   build both scripts -lflowrun -lflowrun-"$lua"
   timeout 100 ./both >got 2>log </dev/null
   if grep -q '^failed: the engine is of another library' got; then
      passed=$((passed + 1))
   else cat got >>log; fail "both libraries [$lua]"; fi
done

# A child that a script forks, and that closes its copy of the state -----------
cat >fork.lua <<'END'
local ffi = require("ffi")
ffi.cdef("int fork(void); int waitpid(int, int *, int); unsigned alarm(unsigned);")
local flow = require("flowrun")
local function pass(...) return ... end
local forks, threads = flow.forks(2), flow.threads(1)
assert(forks:submit(pass, 1):result() + threads:submit(pass, 1):result() == 2)
local queue = flow.queue()
local waits = forks:submit(function() return queue:pop() end)
local child = ffi.C.fork()
if child == 0 then
   ffi.C.alarm(20) -- it hung, where it waited for threads that it does not have
   forks, threads, waits = nil
   collectgarbage()
   return
end
local status = ffi.new("int[1]")
ffi.C.waitpid(child, status, 0)
queue:push(6)
print(status[0], waits:result())
END
case "${CFLAGS:-} $luas" in
*sanitize*) ;;
*luajit*)
   ! command -v luajit >/dev/null ||
      prints "a script forks" env LUA_CPATH="$BUILD/lua/5.1/?.so" \
         luajit fork.lua <<'END'
0	6
END
esac

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
