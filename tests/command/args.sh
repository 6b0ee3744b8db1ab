#!/bin/sh
# args.sh: the script's own options, by flow.args.
. "$(dirname "$0")/common"

write s.lua <<'END'
local flow = require "flowrun"
print "before"
local opt = flow.args {
   jobs = { 4, "tests at once" },
   deck = { "a.yaml", "the cases" },
   fast = { false, "coarse meshes" },
   scale = { 0.5, "of the mesh" },
}
print(opt.jobs, opt.deck, opt.fast, opt.scale)
END

run "$flowrun" s.lua;                       is 0; out 'before
4	a.yaml	false	0.5'
run "$flowrun" s.lua --jobs 8 --deck=b.yaml --fast; is 0; out 'before
8	b.yaml	true	0.5'
run "$flowrun" s.lua --jobs=8 --scale 2.5;  is 0; out_has '^8	a.yaml	false	2\.5$'
run "$flowrun" s.lua --deck '';             is 0; out_has '^4		false'
run "$flowrun" s.lua --deck --jobs;         holds "$status" != 1
run "$flowrun" -j 2 s.lua --deck 'x y';     is 0; out_has '^4	x y	false'

# --help goes to stdout and ends the script there.
run "$flowrun" s.lua --help;                is 0; quiet; out_lacks '^4	'
for word in '--jobs' '--deck' '--fast' '--scale' 'tests at once' 'the cases' \
            'coarse meshes' 'a\.yaml' 's\.lua'; do
   out_has "$word"
done
run "$flowrun" s.lua --jobs 8 --help;       is 0; quiet; out_has 'tests at once'
write plain.lua <<'END'
print("no args", ...)
END
run "$flowrun" plain.lua --help;            is 0; out_has 'no args	--help'

# What is wrong is usage: status 2, the option is named.
usage() {
   run "$flowrun" s.lua "$@"; is 2; out_lacks '^4	'; lines 3
}
usage --bogus;        err_has 'bogus'
usage --bogus=1;      err_has 'bogus'
usage -x
usage --jobs x;       err_has 'jobs'
usage --jobs=;        err_has 'jobs'
usage --jobs;         err_has 'jobs'
usage --scale fast;   err_has 'scale'
usage --fast=maybe;   err_has 'fast'
usage --deck;         err_has 'deck'

finish
