#!/bin/sh
# options.sh: the command's own options, and what is no option.
. "$(dirname "$0")/common"

write script.lua <<'END'
print("ran", ...)
END
write workers.lua <<'END'
local flow = require "flowrun"
print(flow.threads():stats().workers, flow.pool():stats().workers, flow.threads(2):stats().workers)
END

# Version and help.
run "$flowrun" --version;                 is 0; out_has '^flowrun [0-9]+\.[0-9]+\.[0-9]+, Lua(JIT)? [^ ,]+, SQLite 3[0-9.]+, libyaml [0-9.]+$'; quiet
run "$flowrun" --help;                    is 0; quiet
for word in '-j' '--workers' '--pool' '--seed' '--timeout' '-q' '-v' '--color' \
            '--version' '--help' 'script'; do
   out_has "$word"
done
run "$flowrun" --version script.lua;      is 0; out_lacks ran
run "$flowrun" -j 2 --help;               is 0; out_has '--workers'

# Nothing to run.
run "$flowrun";                           is 2; out ''; err_has 'script|[Uu]sage'
run "$flowrun" -j 2;                      is 2; out ''
run "$flowrun" missing.lua;               is 2; out ''; err_has 'missing\.lua'; lines 2
run "$flowrun" no/such/dir/x.lua;         is 2; err_has 'no/such/dir/x\.lua'
mkdir dir.lua
run "$flowrun" dir.lua;                   is 2; out ''; err_has 'dir\.lua'
run "$flowrun" '';                        is 2; out ''
if [ "$(id -u)" != 0 ]; then
   write closed.lua <script.lua
   chmod 000 closed.lua
   run "$flowrun" closed.lua;             is 2; err_has 'closed\.lua'
fi

# Unknown options, and options with a bad value, run nothing.
bad() {
   run "$flowrun" "$@" script.lua; is 2; out ''; lines 3
}
bad --bogus;           err_has 'bogus'
bad -Z;                err_has 'Z'
bad --worker;          err_has 'worker'
bad --workers=0;       err_has 'workers'
bad --workers 1000000; err_has 'workers'
bad --workers -1;      err_has 'workers'
bad --workers 1.5;     err_has 'workers'
bad --workers 2x;      err_has 'workers'
bad --workers '';      err_has 'workers'
bad -j 0;              err_has 'workers|-j'
bad -j x;              err_has 'workers|-j'
bad -j 99999999999999999999; err_has 'workers|-j'
bad --pool bogus;      err_has 'bogus'
bad --seed x;          err_has 'seed'
bad --seed 1.5;        err_has 'seed'
bad --seed '';         err_has 'seed'
bad --timeout x;       err_has 'timeout'
bad --timeout -1;      err_has 'timeout'
bad --timeout nan;     err_has 'timeout'
bad --timeout '';      err_has 'timeout'
bad --color bogus;     err_has 'color'
bad -q=1
bad --quiet=maybe
run "$flowrun" --workers; is 2; out ''; err_has 'workers'
run "$flowrun" -j;        is 2; out ''
run "$flowrun" --seed;    is 2; err_has 'seed'
run "$flowrun" --timeout; is 2; err_has 'timeout'

# Good values, in each form.
run "$flowrun" -j 3 workers.lua;          is 0; out "3	3	2"; quiet
run "$flowrun" -j3 workers.lua;           is 0; out "3	3	2"
run "$flowrun" --workers 5 workers.lua;   is 0; out "5	5	2"
run "$flowrun" --workers=5 workers.lua;   is 0; out "5	5	2"
run "$flowrun" -j 1024 workers.lua;       is 0; out "1024	1024	2"
run "$flowrun" -j 3 -j 4 workers.lua;     is 0; out "4	4	2"
run "$flowrun" --pool threads script.lua; is 0; out "ran"
run "$flowrun" --seed 7 script.lua;       is 0; out "ran"
run "$flowrun" --timeout 50 script.lua;   is 0; out "ran"; quiet
run "$flowrun" -q script.lua;             is 0; out "ran"; quiet
run "$flowrun" -v script.lua;             is 0; out "ran"
for when in auto always never; do
   run "$flowrun" --color $when script.lua; is 0; out "ran"
done

# Everything behind the script is the script's.
run "$flowrun" script.lua -j 0 --bogus -- -v; is 0; out "ran	-j	0	--bogus	--	-v"
run "$flowrun" -- script.lua --version;   is 0; out "ran	--version"

# From inside the script; the command line wins.
write inside.lua <<'END'
local flow = require "flowrun"
flow.options { workers = 3 }
print(flow.threads():stats().workers)
END
run "$flowrun" inside.lua;                is 0; out 3
run "$flowrun" -j 2 inside.lua;           is 0; out 2
write wrong.lua <<'END'
local flow = require "flowrun"
local function refused(options, word)
   local ok, err = pcall(function() flow.options(options) end)
   assert(not ok and type(err) == "string", word)
   assert(err:find(word, 1, true), err)
   assert(err:find("^wrong%.lua:3:"), err)
end
refused({ workers = 0 }, "workers")
refused({ workers = "x" }, "workers")
refused({ pool = "bogus" }, "pool")
refused({ seed = "x" }, "seed")
refused({ timeout = "x" }, "timeout")
-- As the command does: no fraction is cut off, and no deadline is over at once.
refused({ workers = 2.5 }, "a whole number from 1 to 1024 expected, got 2.5")
refused({ seed = 1.5 }, "a whole number from 0 to 2^53 expected, got 1.5")
refused({ timeout = 0 }, "seconds above 0 expected, got 0")
refused({ bogus = 1 }, "bogus")
refused(5, "table")
print "all refused"
END
run "$flowrun" wrong.lua;                 is 0; out 'all refused'

# The help fits a terminal of 80 columns.
run "$flowrun" --help;                    is 0
label='the width of the help'; holds "$(awk 'length > 80' out | wc -l)" = 0

# Completion, from the table that the help is from.
for shell in bash zsh fish; do
   run "$flowrun" --completion $shell;    is 0; quiet
   cp out complete.$shell
   for option in $("$flowrun" --help | grep -oE -e '^ .*--[a-z-]+' | grep -oE '[a-z-]+$' | sed 's/^--//'); do
      out_has "$option"
   done
done
run "$flowrun" --completion tcsh;         is 2; out ''; err_has 'bash, zsh or fish'
completes() {
   label="completes $*"; wanted_reply=$1; shift
   bash -c '. ./complete.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flowrun
      [ ${#COMPREPLY[@]} = 0 ] || echo "${COMPREPLY[*]}"' - "$@" >out 2>err
   quiet; out "$wanted_reply"
}
if command -v bash >/dev/null; then
   completes --progress flowrun --prog
   completes json flowrun --progress j
   completes 'threads' flowrun -j 4 --pool th
   completes script.lua flowrun script.l
   completes show flowrun sho
   completes --slowest flowrun show run.journal --sl
   completes script.lua flowrun --seed 3 script.lua --deck script.l
   completes always flowrun --color = al
   completes show flowrun sh
   completes script.lua flowrun -j 4 script.l
   completes "" flowrun -q sho
   completes --slowest flowrun show run.journal --sl
   completes "50" flowrun show run.journal --slowest 50
   completes script.lua flowrun show script.l
   completes "" flowrun show --prog
   completes --help flowrun why --h
   completes "" flowrun why --slow
   completes script.lua flowrun script.lua show script.l
   # A name with spaces, or stars, is one name.
   mkdir names; cp complete.bash names; : >'names/two words *.lua'; : >names/two.lua
   (cd names && bash -c '. ./complete.bash; COMP_WORDS=(flowrun tw) COMP_CWORD=1; _flowrun
      printf "<%s>\n" "${COMPREPLY[@]}" | sort') >out 2>err
   label="completes names"; quiet; out "$(printf '<two words *.lua>\n<two.lua>')"
fi
if command -v zsh >/dev/null; then run zsh -n complete.zsh; is 0; fi
if command -v fish >/dev/null; then run fish -n complete.fish; is 0; fi

# One CPU, one worker.
if taskset -c 0 true 2>/dev/null; then
   write cpus.lua <<'END'
print(require("flowrun").threads():stats().workers)
END
   run taskset -c 0 "$flowrun" cpus.lua;  is 0; out 1
fi

finish
