#!/bin/sh
# page.sh: reports opened in a real browser, if there is one; see page.lua.
set -u
cd "$(dirname "$0")/.." || exit 1
chromium=$(command -v chromium) || { echo "no chromium"; exit 77; }
case ${LUAS-lua5.4} in
lua5.4*) flowrun=$BUILD/flowrun ;;
luajit*) flowrun=$BUILD/flowrun-luajit ;;
*) echo "no Lua to drive a browser with"; exit 77 ;;
esac
work=$(mktemp -d) || exit 1
browser=
# Its processes end one after the other, and write until they do.
stop() {
   [ -z "$browser" ] || kill "$browser" 2>/dev/null
   wait
   for i in 1 2 3 4 5 6 7 8 9 10; do
      rm -rf "$work" 2>/dev/null && break
      sleep 0.1
   done
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

for page in 6 500 50000 hostile; do
   "$BUILD/tests/c/page" $page >"$work/$page.html" || exit 1
done
"$flowrun" --report "$work/real.html" workflows/crash_grid.lua >/dev/null 2>&1 || exit 1
mkfifo "$work/to" "$work/from" || exit 1
# A sandbox cannot be made in a container, nor by root.
HOME=$work TMPDIR=$work XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache \
   "$chromium" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
   --no-first-run --disable-background-networking --disable-component-update \
   --force-color-profile=srgb --window-size=1280,1000 --user-data-dir="$work/profile" \
   --remote-debugging-pipe 3<"$work/to" 4>"$work/from" >"$work/log" 2>&1 &
browser=$!
timeout 100 "$flowrun" tests/page.lua "$work/to" "$work/from" "$work"
