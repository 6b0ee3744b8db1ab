#!/bin/sh
# solver.sh: the workflows that drive real solvers. Where CalculiX and gmsh are
# installed they are run, and their numbers must be the known ones; everywhere,
# and for what real ones do not do on request, with stubs made here. The stub of
# ccx does what its NAME in $stub says:
#
#    (nothing)    writes numbers that depend on the deck only
#    crash        dies at the first attempt of each case
#    nodeck       loses its deck first: ccx then says so, and has status 0
#    magic        has more energy at the end than at the start
#    hang         never ends, with a child that has closed everything
. "$(dirname "$0")/common"

grid=$root/workflows/solver_grid.lua
dag=$root/workflows/mesh_dag.lua
mkdir bin seats decks tmp
TMPDIR=$work/tmp stub=
export TMPDIR stub work

cat >bin/ccx <<'END'
#!/bin/sh
# As ccx: -i JOB; always makes JOB.dat; status 0 whatever happened.
job=$2
[ "$stub" != nodeck ] || rm "$job.inp"
: >"$job.dat"
[ -e "$job.inp" ] || {
   echo " *ERROR in readinput: cannot open file $job.inp"
   exit 0
}
[ "$OMP_NUM_THREADS" = 1 ] || exit 7
# Nobody else has this licence now.
seat=$work/seats/$FLOWRUN_SEAT_SOLVER
mkdir "$seat" || exit 9
echo "$FLOWRUN_SEAT_SOLVER" >>"$work/licences"
cp "$job.inp" "$work/decks/$FLOWRUN_NAME"
case $stub$FLOWRUN_ATTEMPT in
crash1) rmdir "$seat"; kill -SEGV $$ ;;
hang*) rmdir "$seat"; sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >"$work/child"; sleep 1000 ;;
esac
set -- $(sed -n 's/^RIGHT,\([123]\).*/\1/p' "$job.inp")
if [ -n "${1-}" ]; then
   awk -v axis="$1" -v nodes="$(grep -c ^node mesh.inp)" 'BEGIN {
      force[axis] = -8e4 - nodes
      print "\n total force (fx,fy,fz) for set LEFT and time  0.1000000E+01\n"
      printf "     %13.6E %13.6E %13.6E\n", force[1], force[2], force[3]
      print "\n total internal energy for set EALL and time  0.1000000E+01\n"
      printf "     %13.6E\n", -force[axis] * 5e-5 }' >"$job.dat"
else
   awk -F'[ ,]' -v stub="$stub" '
      NR == 1 { mesh = $6; sim = $8 }
      /^NALL/ { axis = $2; force[axis] = $3 < 0 ? 5e6 : -5e6 }
      END {
         print "\n total force (fx,fy,fz) for set WALL and time  0.2000000E-03\n"
         printf "     %13.6E %13.6E %13.6E\n", force[1], force[2], force[3]
         print "\n total internal energy for set EALL and time  0.2000000E-03\n"
         printf "     %13.6E\n", (stub == "magic" ? 14000 : 12000) + mesh
         print "\n total kinetic energy for set EALL and time  0.2000000E-03\n"
         printf "     %13.6E\n", 700 + sim }' "$job.inp" >"$job.dat"
fi
rmdir "$seat"
END
cat >bin/gmsh <<'END'
#!/bin/sh
# As gmsh -3 -nt 1 -clscale SIZE -format inp -o FILE GEOMETRY.
shift
grep -q Cylinder "$9" || exit 1
echo "$4" >>"$work/meshes"
[ "$4" != 7 ] || { echo "Error   : no mesh of size $4" >&2; exit 1; }
printf '%s\n' '*Heading' ' raw.inp' '*NODE' "node $4" node '*ELEMENT, type=CPS6, ELSET=S' \
   surface '*ELEMENT, type=C3D10, ELSET=V' solid '*ELSET,ELSET=LEFT' left \
   '*ELSET,ELSET=EALL' all '*NSET,NSET=LEFT' fixed >"$8"
END
chmod +x bin/ccx bin/gmsh
real=$PATH
PATH=$work/bin:$PATH

nothing_kept() { holds -z "$(ls tmp)"; }

# ---- the grid, with the stub ----
run "$flowrun" -q "$grid" --meshes "8 12" --sims 20
is 0
quiet
out_has '^front +20 +8 +5\.000000e\+06 +1\.200800e\+04 +7\.200000e\+02 +[0-9.]+ s$'
out_has '^side +20 +12 +5\.000000e\+06 +1\.201200e\+04 '
out_has '^rear +20 +12 +5\.000000e\+06 '
out_has '^6 cases, 0 failed, in [0-9.]+ s; see solver_grid\.csv$'
holds "$(sed -n '1p' solver_grid.csv)" = type,sim,mesh,force,internal,kinetic,seconds
holds "$(wc -l <solver_grid.csv)" = 7
holds "$(sed -n 's/,[0-9.]*$//; 2p' solver_grid.csv)" = front,20,8,5000000,12008,720
nothing_kept
# The deck is the one whose numbers are known.
holds "$(cksum <decks/front__20__8)" = "1510937627 2522"
# Two licences, and both were used.
holds "$(sort -u licences | tr '\n' ' ')" = "1 2 "

# ---- what solvers do ----
stub=crash
run "$flowrun" "$grid" --meshes 8 --sims 20
is 0
out_has '^3 cases, 0 failed'
rm -r tmp/flowrun-kept-*

stub=nodeck
run "$flowrun" "$grid" --meshes 8 --sims 20 --types "front rear"
is 1
out_has '^front +20 +8  front__20__8 \[1\]: error: .*the output has no force or no energy'
out_has '^2 cases, 2 failed'
holds "$(ls tmp | grep -c '^flowrun-kept-front__20__8-')" = 2
holds "$(wc -l <solver_grid.csv)" = 1
rm -r tmp/flowrun-kept-*

stub=magic
run "$flowrun" "$grid" --meshes 8 --sims 200 --types front
is 1
out_has 'error: .*that cannot be: .*energy 14008 J \+ 900 J, 14130 J at the start'
rm -r tmp/flowrun-kept-*

stub=hang
run "$flowrun" "$grid" --meshes 8 --sims 20 --types side --timeout 0.3
is 1
out_has '^side +20 +8  side__20__8 \[1\]: timeout: '
holds ! -d "/proc/$(cat child)"
rm -r tmp/flowrun-kept-*
stub=

run "$flowrun" "$grid" --meshes 8 --sims 20 --types front --solver no-such-solver
is 1
out_has 'front__20__8 \[1\]: exit: no-such-solver: command not found'
rm -r tmp/flowrun-kept-*

run "$flowrun" "$grid" --meshes 10 --sims 20 --types front
is 1
out_has 'mesh must be a multiple of 4'
run "$flowrun" "$grid" --types "front top"
is 1
err_has 'top'
nothing_kept

# ---- meshes, with the stubs ----
rm -f meshes
run "$flowrun" "$dag" --sizes "2 1"
is 0
quiet
out_has '^pull 2 +-8\.0002e\+04 +4\.0001$'
out_has '^bend 1 +-8\.0002e\+04 '
out_has '^6 cases, 0 failed'
holds "$(sort meshes | tr '\n' ' ')" = "1 2 "
nothing_kept

# A mesh that cannot be made costs its own cases.
rm meshes
run "$flowrun" "$dag" --sizes "7 2"
is 1
out_has '^pull 7 +mesh 7: exit: gmsh: exit status 1: Error +: no mesh of size 7$'
out_has '^shear 2 +-8\.0002e\+04 '
out_has '^6 cases, 3 failed'
holds "$(sort meshes | tr '\n' ' ')" = "2 7 7 "
rm -r tmp/flowrun-kept-*

# ---- the real ones ----
PATH=$real
if command -v ccx >/dev/null; then
   run "$flowrun" -q "$grid" --sims 20
   is 0
   quiet
   out_has '^front +20 +8 +5\.370473e\+06 +1\.224649e\+04 +7\.386506e\+02 '
   # README.md shows this run.
   sed -n '/^\$ make solver/,/^```/p' "$root/README.md" | sed '1d; /^```/d' |
      sed -E 's/ *[0-9.]+ s($|;.*)/ #/' >wanted
   sed -E 's/ *[0-9.]+ s($|;.*)/ #/' out >got
   holds -s wanted
   cmp -s wanted got || { diff wanted got; fault "README.md shows something else"; }
else
   echo "ccx is not installed: its stub alone was run"
fi
if command -v ccx >/dev/null && command -v gmsh >/dev/null; then
   run "$flowrun" "$dag" --sizes 2
   is 0
   out_has '^pull 2 +-8\.7689e\+04 +4\.3845$'
else
   echo "gmsh is not installed: its stub alone was run"
fi
nothing_kept
finish
