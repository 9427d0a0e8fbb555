#!/bin/bash
# A simulation with mesocast beside it, on the same node, until the simulation has ended.
#SBATCH --job-name=forecast
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=12:00:00
# A minute before the time is over, so that what was read is delivered.
#SBATCH --signal=B:TERM@60
set -u

frames=${FRAMES:-$PWD/frames}
out=${OUT:-$PWD/forecasts}
simulation=${SIMULATION:-./simulation}
mkdir -p "$frames"

# The state on a disk of the node: file locks and fsync of parallel file systems are not to be relied on.
follow() {
    exec mesocast attach "$frames" --out "$out" --state "${STATE:-${TMPDIR:-/tmp}/mesocast-$SLURM_JOB_ID}" \
        --threads 2 --learn-budget 25% ${OPTIONS:-} "$@" >> "mesocast-$SLURM_JOB_ID.log" 2>&1
}
follow &
forecasts=$!

$simulation &
simulation=$!

# The end of the time, or scancel: both are told, mesocast drains.
told= over=
trap 'told=1 over=1; kill -TERM $simulation $forecasts 2> /dev/null' TERM

# What a program ended with, also when it ended long ago, or a signal came meanwhile: that ends `wait` early.
ended_with() {
    wait "$1"
    local status=$? again
    while [ -n "$told" ] && [ "$status" -gt 128 ]; do
        told=
        wait "$1"
        again=$?
        [ "$again" -eq 127 ] || status=$again # 127: it had ended by that signal already
    done
    return "$status"
}
ended_with $simulation
ended=$?
[ -z "$over" ] && kill -TERM $forecasts 2> /dev/null
ended_with $forecasts
delivered=$?
if [ -z "$over" ]; then
    # No more frames will come: it goes on with those that are there, and ends. However long the simulation took between
    # two frames, it was followed.
    [ "$delivered" -eq 143 ] && delivered=0 # it was told to end before it had begun
    follow --until-idle 10 &
    forecasts=$!
    ended_with $forecasts || delivered=$?
fi
echo "simulation ended with $ended, mesocast with $delivered"
[ "$ended" -eq 0 ] && [ "$delivered" -eq 0 ]
