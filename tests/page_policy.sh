#!/bin/sh
# page_policy.sh: the page of a report allows the style and the script that it
# has, by their hashes, which stand in page.html; after a change to one of them
# "make build/tests/c/page && sh tests/page_policy.sh renew" writes them there.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

BUILD=${BUILD:-build} html=engine/report/page/page.html
"$BUILD/tests/c/page" 1 >"$work/page" || exit 1
# of ELEMENT: the hash of what it holds, as a browser takes it.
of() {
   perl -0777 -ne 'print $1 if m{<'"$1"'>(.*?)</'"$1"'>}s' "$work/page" >"$work/$1"
   [ -s "$work/$1" ] || { echo "page_policy.sh: no $1 in the page" >&2; exit 1; }
   env printf "$(sha256sum "$work/$1" | sed 's/ .*//; s/../\\x&/g')" | base64
}
sed "s|style-src '[^']*'|style-src 'sha256-$(of style)'|
     s|script-src '[^']*'|script-src 'sha256-$(of script)'|" $html >"$work/right"
[ "${1-}" != renew ] || cat "$work/right" >$html
diff $html "$work/right" && exit
echo "page_policy.sh: sh tests/page_policy.sh renew, then make"
exit 1
