#!/bin/sh
# man.sh: the manual pages are whole, and groff has nothing to say about them.
cd "$(dirname "$0")/.." || exit 1
command -v groff >/dev/null || { echo "no groff"; exit 77; }
BUILD=${BUILD:-build} passed=0 failed=0

check() {
   if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $*"; fi
}
page=$(mktemp) || exit 1
trap 'rm -f "$page"' EXIT

shows() {
   said=$(groff -ww -mdoc -Tascii -P-c -P-b -P-u "$1" 2>&1 >"$page")
   [ -z "$said" ] || { echo "$said" | head -5; return 1; }
   # No macro or escape is left in the text.
   ! grep -nE '^ *\.[A-Z][a-z] |\\f[BIR]|\\e' "$page"
}
has() { grep -q -e "$1" "$page"; }
pages="man/flowrun.1 $BUILD/man/flowrun.3"
[ -z "${LUAS-lua5.4}" ] || pages="$pages $BUILD/man/flowrun-lua.7"

for file in $pages; do
   check shows "$file"
   check has '^NAME'
   check has 'SEE ALSO'
done

# Every function of the library, and every one of the module, has its place.
groff -mdoc -Tascii -P-c -P-b -P-u "$BUILD/man/flowrun.3" >"$page" 2>/dev/null
for name in $(grep -oE 'frun_[a-z_]+\(' engine/flowrun.h | tr -d '(' | sort -u); do
   check has "$name"
done
if [ -n "${LUAS-lua5.4}" ]; then
   groff -mdoc -Tascii -P-c -P-b -P-u "$BUILD/man/flowrun-lua.7" >"$page" 2>/dev/null
   for name in $(grep -oE '^### [a-z]+[.:][a-z_.]+' docs/reference.md |
      sed 's/^### //' | sort -u); do
      check has "$name"
   done
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
