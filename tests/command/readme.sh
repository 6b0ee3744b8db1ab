#!/bin/sh
# readme.sh: every program of README.md and docs/ is run, and prints what the
# page says; every workflow is run, and prints what is written below (those that
# need a solver: solver.sh); and the script in the manual.
#
#    FLOWRUN=build/flowrun tests/command/readme.sh
#
# In a page, a fenced block whose first line is a comment with a file name
# (-- crash.lua: ..., /* sum.c - ..., # crash.yaml) is that file. A text block
# that begins with `$ ` is a transcript: its commands are run in a directory
# that holds the page's files so far, and the output must be as printed, but
# that any duration (digits, a point, digits, " s") stands for any other, and
# a line `...` for any lines. A lua file that no transcript names is a failure.
# Other lua blocks are fragments: each is run as a program of its own, in which
# the names that it takes for granted (`pool`, `cases` and so on) stand for what
# whole.lua below gives them; what a task does there is done in a task. Other c
# blocks must compile.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
flowrun=${FLOWRUN:-$root/build/flowrun}
case $flowrun in /*) ;; *) flowrun=$PWD/$flowrun ;; esac
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0

set -- ${CC:-gcc}
compiler=$(command -v "$1") && shift && compiler="$compiler $*"

# What the transcripts find on their PATH.
mkdir "$work/bin"
ln -s "$flowrun" "$work/bin/flowrun"
cat >"$work/bin/pkg-config" <<END
#!/bin/sh
echo "-I'$root/engine' '${flowrun%/*}/libflowrun.a' -lsqlite3 -lpthread -lm"
END
cat >"$work/bin/cc" <<END
#!/bin/sh
eval exec $compiler ${CFLAGS:-} "\$@"
END
cat >"$work/bin/ccx" <<END
#!/bin/sh
echo "peak 1" >job.dat
END
ln -s ccx "$work/bin/solve"
chmod +x "$work"/bin/*
PATH=$work/bin:$PATH XDG_STATE_HOME=$work/state
export PATH XDG_STATE_HOME NO_COLOR=1

# split PAGE DIR: the blocks of a page as DIR/n.lua-file, n.fragment and so on.
split() {
   awk -v dir="$2" '
      /^```/ && !inside {
         inside = 1; language = substr($0, 4); lines = 0; n++
         at = sprintf("%s/%03d", dir, n)
         next
      }
      /^```/ {
         inside = 0
         close(out)
         next
      }
      inside {
         if (lines++ == 0) {
            kind = "other"; name = ""
            if (language == "lua" && match($0, /^-- [a-z_0-9]+\.lua/))
               name = substr($0, 4, RLENGTH - 3)
            else if (language == "c" && match($0, /^\/\* [a-z_0-9]+\.c/))
               name = substr($0, 4, RLENGTH - 3)
            else if (match($0, /^# [a-z_0-9]+\.[a-z]+/))
               name = substr($0, 3, RLENGTH - 2)
            if (name != "") kind = "file"
            else if (language == "lua") kind = "fragment"
            else if (language == "c") kind = "part"
            else if (language == "text" && $0 ~ /^\$ /) kind = "transcript"
            out = at "." kind
            if (name != "") print name > (at ".name")
            close(at ".name")
            printf "" > out
         }
         print > out
      }' "$1"
}

# script TRANSCRIPT: a shell program that prints what the transcript holds.
script() {
   awk '/^\$ / {
      line = substr($0, 3); quoted = $0
      gsub(/\047/, "\047\\\047\047", quoted)
      print "status=$?; printf \047%s\\n\047 \047" quoted "\047"
      print "(exit $status)"
      print line
   }' "$1"
}

durations() {
   sed -E 's/ *[0-9]+\.[0-9]+ s($|[^a-z])/ # s\1/g' "$1"
}

# same WANTED GOT NAME: compares by the rules above, and says what differs.
same() {
   durations "$1" >"$work/wanted"
   durations "$2" >"$work/got"
   if awk '
      FNR == 1 { file++ }
      file == 1 { wanted[++w] = $0; next }
      { got[++g] = $0 }
      END {
         i = 1
         for (k = 1; k <= w; k++) {
            if (wanted[k] == "...") {
               while (k < w && i <= g && got[i] != wanted[k + 1]) i++
               if (k == w) i = g + 1
            } else if (i > g || got[i++] != wanted[k])
               exit 1
         }
         exit i <= g
      }' "$work/wanted" "$work/got"
   then
      passed=$((passed + 1))
   else
      failed=$((failed + 1))
      echo "FAILED $3"
      diff "$work/wanted" "$work/got" | sed 's/^/   /'
   fi
}

fail() {
   failed=$((failed + 1))
   echo "FAILED $*"
}

page() {
   name=${1##*/}
   dir=$work/${name%.md}
   mkdir "$dir" "$dir/blocks"
   split "$1" "$dir/blocks"
   : >"$dir/blocks/all"
   for block in "$dir"/blocks/*.*; do
      case $block in
      *.file)
         cp "$block" "$dir/$(cat "${block%.file}.name")" ;;
      *.fragment) fragment ;;
      *.part)
         { echo '#include <flowrun.h>'; echo '#include <stdio.h>'; cat "$block"
         } >"$work/part.c"
         if cc -Wall -Wextra -Wno-unused-function -fsyntax-only "-I$root/engine" \
            "$work/part.c" >"$work/out" 2>&1
         then passed=$((passed + 1))
         else fail "$name, a part in C: $(cat "$work/out" "$block")"
         fi ;;
      *.transcript)
         cat "$block" >>"$dir/blocks/all"
         script "$block" >"$work/script"
         (cd "$dir" && timeout 120 sh "$work/script") >"$work/out" 2>&1
         same "$block" "$work/out" "$name: $(head -n 1 "$block")" ;;
      esac
   done
   for file in "$dir"/*.lua; do
      [ -e "$file" ] || continue
      grep -q "^\\$ .*${file##*/}" "$dir/blocks/all" ||
         fail "$name: ${file##*/} is never run"
   done
}

# A fragment, $block of the page $name, is run beside the files that it reads.
fragment() {
   [ -e "$block.program" ] ||
      "$flowrun" "$work/whole.lua" "$dir"/blocks/*.fragment
   mkdir -p "$dir/part"
   cp "$root/workflows/crash.yaml" "$dir/part"
   printf 'mesh,peak\n200,1.5\n' >"$dir/part/cases.csv"
   echo pattern >"$dir/part/a.log"
   if (cd "$dir/part" && timeout 60 "$flowrun" -q "$block.program") \
      >"$work/out" 2>&1
   then passed=$((passed + 1))
   else fail "$name, a fragment: $(cat "$work/out" "$block")"
   fi
}

# Two crash tests of one length may end in either order.
untie() {
   awk '/side__10__400/ { held = $0; next }
        held && !/rear__20__200/ { print held; held = "" }
        { print }
        held { print held; held = "" }' "$1"
}

# workflow NAME [OPTION]...: runs it and compares with stdin.
workflow() {
   name=$1; shift
   cat >"$work/workflow"
   timeout 120 "$flowrun" -q "$root/workflows/$name" "$@" >"$work/raw" 2>&1 ||
      fail "$name: status $?"
   untie "$work/raw" >"$work/out"
   same "$work/workflow" "$work/out" "$name"
}


cat >"$work/whole.lua" <<'END'
-- FRAGMENT.program of each fragment: what it needs, and itself.
local given = {
   { "pattern", "'pattern'" }, { "file", "'a.log'" }, { "name", "'a'" },
   { "fn", "function(x) return x end" },
   { "cases", "{ { mesh = 200 }, { mesh = 400 } }" },
   { "deck", "function(case) return tostring(case.mesh) end" },
   { "read", "function(text) return tonumber(text:match('%d')) end" },
   { "pool", "flow.threads(2)" },
   { "futures", "flow.threads(2):scatter(math.abs, { a = -1, b = 2 })" },
   { "future", "flow.threads(1):submit(function() return 1, 'MPa' end)" },
   { "queue", "flow.queue()" }, { "dict", "flow.dict()" },
   { "lock", "flow.lock()" }, { "mesh", "flow.share { 1, 2, 3 }" },
   { "solver", "flow.limit(2)" }, { "gpu", "flow.limit(2)" },
}

local function whole(text)
   local lines = { "local flow = require('flowrun')" }
   for _, one in ipairs(given) do
      local name, value = one[1], one[2]
      if name == "pool" and text:find("submit[%s(]*{") then
         value = "flow.commands(2)"
      end
      if text:find("%f[%w_.:]" .. name .. "%f[^%w_]") then
         lines[#lines + 1] = ("local %s = %s"):format(name, value)
      end
   end
   if text:find("queue:pop") then
      lines[#lines + 1] = "queue:push { mesh = 200 } queue:close()"
   elseif text:find("dict:get%(\"total\"") then
      lines[#lines + 1] = "dict:set('total', 0)"
   end
   if text:find("flow.attempt") or text:find("flow.cancelled")
      or text:find("flow.seat") then
      text = "local task = flow.threads(1):submit(function()\n" .. text .. [[
         end)
         while task:state() == "pending" do flow.sleep(0.001) end
         task:cancel()
         local ok, err = task:try()
         assert(ok or err.kind == "cancelled", err) ]]
   elseif text:find("flow.native") then -- by workflows/embed/native.c
      text = "local function compiles()\n" .. text .. "end"
   end
   return table.concat(lines, " ") .. "\n" .. text
end

for _, path in ipairs(arg) do
   local from, to = assert(io.open(path)), assert(io.open(path .. ".program", "w"))
   to:write(whole(from:read("*a")))
   from:close()
   to:close()
end
END

for file in "$root/README.md" "$root"/docs/*.md; do
   page "$file"
done

for file in "$root"/workflows/*.lua; do
   lines=$(wc -l <"$file")
   [ "$lines" -le 64 ] || fail "${file##*/}: $lines lines"
done

workflow crash_grid.lua <<'END'
   0.062 s  side__10__200
   0.370 s  front__50__200
   0.494 s  rear__20__200
   0.617 s  side__10__400
   1.234 s  front__50__400
   1.481 s  rear__20__400
   1.481 s  one after another, 6 tests
   0.062 s  side__10__200
   0.123 s  rear__20__200
   0.309 s  front__50__200
   0.432 s  side__10__400
   0.555 s  rear__20__400
   0.926 s  front__50__400
   0.926 s  a barrier after each mesh, 6 tests
   0.062 s  side__10__200
   0.123 s  rear__20__200
   0.123 s  side__10__400
   0.247 s  rear__20__400
   0.309 s  front__50__200
   0.617 s  front__50__400
   0.617 s  all at once, 6 tests
END

workflow pools.lua --wait 0.1 <<'END'
long_io    loop      0.40 s
   0: 0
   1: 2
   2: 4
   3: 6
long_io    threads   0.10 s
   0: 0
   1: 2
   2: 4
   3: 6
long_io    forks     0.11 s
   0: 0
   1: 2
   2: 4
   3: 6
long_comp  loop      1.60 s
   0: 2236.5678097446853
   1: 2236.5678097446853
   2: 2236.5678097446853
   3: 2236.5678097446853
long_comp  threads   0.80 s
   0: 2236.5678097446853
   1: 2236.5678097446853
   2: 2236.5678097446853
   3: 2236.5678097446853
long_comp  forks     0.82 s
   0: 2236.5678097446853
   1: 2236.5678097446853
   2: 2236.5678097446853
   3: 2236.5678097446853
END

workflow primes.lua <<'END'
8 primes up to 20: loop 0.000005 s, map 0.000008 s
9592 primes up to 100000: loop 0.060000 s, map 0.035000 s
END

workflow licences.lua --cases 6 <<'END'
case   1  x   1  y 1  z     2   0.020 s
case   2  x   2  y 2  z     8   0.040 s
case   3  x   3  y 3  z    18   0.060 s
case   4  x   4  y 4  z    32   0.080 s
case   5  x   5  y 5  z    50   0.020 s
case   6  x   6  y 6  z    72   0.020 s
...
total: 0.080 s in parallel, 0.240 s in series
END

workflow resume.lua --cases 3 --journal "$work/again.journal" <<'END'
load   10 kN       30.00 mm
load   20 kN      200.00 mm
load   30 kN      578.57 mm
END

workflow sum.lua --n 10000000 <<'END'
sum 49999995000000
END

workflow dag.lua <<'END'
58 tasks, 114 edges, at most 4 at once: 0.070 s for 0.222 s of work
END

workflow shared_dict.lua <<'END'
table     nil nil nil nil
dict      0 2 4 6
returned  0 2 4 6
END

workflow queue_lock.lua <<'END'
15 primes: 2 3 5 7 11 13 17 19 23 29 31 37 41 43 47
END

# The script in the manual.
sed -n '/^#!/,/^\.Ed/{ /^\.Ed/d; p; }' "$root/man/flowrun.1" >"$work/squares.lua"
echo "1	4	9" >"$work/workflow"
"$flowrun" -j 2 "$work/squares.lua" >"$work/out" 2>&1
same "$work/workflow" "$work/out" "flowrun.1: squares.lua"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
