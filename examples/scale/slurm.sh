#!/bin/sh
# Mirrors with a Slurm job array: plan, shards, merge. docs/scale.md explains each step.
#
#   slurm.sh mirror.yaml 200 20          200 shards, 20 of them at a time
#   slurm.sh mirror.yaml 200 20 again    the missing and failed shards once more, then merge
#
# The manifest, the plan and the destination must be on a file system that all nodes share. Add
# the options of your cluster (--account, --partition, --time) as SBATCH_ACCOUNT,
# SBATCH_PARTITION, SBATCH_TIMELIMIT; sbatch reads them. Prints the id of the last job.
# The jobs' shells expand the variables of --wrap.
# shellcheck disable=SC2016
set -eu
[ $# -ge 3 ] || { echo "usage: $0 MANIFEST SHARDS AT_A_TIME [again]" >&2; exit 2; }

# The jobs inherit these variables.
export MANIFEST="$1" SHARDS="$2" AT_A_TIME="$3"
export PLAN="${MANIFEST%.*}.plan"

submit() {
    sbatch --parsable --kill-on-invalid-dep=yes "$@"
}

# $1: the indexes of the array. $2: the job to wait for, or nothing.
shards() {
    submit --job-name=natsync-shard --array="$1%$AT_A_TIME" ${2:+--dependency="afterok:$2"} \
        --wrap 'exec natsync apply --plan "$PLAN" --shard auto --shard-concurrency "$AT_A_TIME"'
}

# afterany: this job also runs if a shard failed, and says which ones must run again. --array
# prints their numbers as Slurm writes them, such as 3,7-9, and then its exit status is 1.
merge() {
    submit --job-name=natsync-merge --dependency="afterany:$1" \
        --wrap 'again=$(natsync merge "$MANIFEST" --shards "$SHARDS" --array --failed) ||
            { echo "shards to run again: $again"; exit 1; }
            exec natsync merge "$MANIFEST" --shards "$SHARDS"'
}

if [ "${4-}" = again ]; then
    status=0
    array=$(natsync merge "$MANIFEST" --shards "$SHARDS" --array --failed) || status=$?
    [ "$status" -le 1 ] || exit "$status"
    [ -n "$array" ] || { echo "no shard is missing, and none failed" >&2; exit 1; }
    array_job=$(shards "$array")
else
    plan_job=$(submit --job-name=natsync-plan \
        --wrap 'exec natsync plan "$MANIFEST" --shards "$SHARDS" --out "$PLAN"')
    array_job=$(shards "1-$SHARDS" "$plan_job")
fi
merge "$array_job"
