#!/bin/bash
# Mirrors with an AWS Batch array job: plan, shards, merge. docs/scale.md explains each step.
#
#   aws batch register-job-definition --cli-input-json file://aws-batch.json     once
#   aws-batch.sh 400 40          400 shards (at most 10,000), 40 of them at a time
#
# The EFS volume of aws-batch.json is mounted at /work, the working directory of natsync's image.
# It holds the manifest, mirror.yaml, whose `dest` is a relative path. The number of shards that
# run at a time is limited by the vCPUs of the compute environment: 40 shards of 0.5 vCPU need
# maxvCpus of 20. Batch does not start the merge if a shard failed: see docs/scale.md.
set -euo pipefail
shards=$1
at_a_time=$2
queue=${QUEUE:-natsync}

# $1: the name of the job. $2: the arguments of natsync as a JSON array. Others: for submit-job.
submit() {
    local name=$1 command=$2
    shift 2
    aws batch submit-job --job-name "$name" --job-queue "$queue" --job-definition natsync \
        --container-overrides "{\"command\": $command}" --query jobId --output text "$@"
}

plan=$(submit mirror-plan "[\"plan\", \"mirror.yaml\", \"--shards\", \"$shards\", \"--out\", \"mirror.plan\"]")
array=$(submit mirror-shards \
    "[\"apply\", \"--plan\", \"mirror.plan\", \"--shard\", \"auto\", \"--shard-concurrency\", \"$at_a_time\"]" \
    --array-properties "size=$shards" --depends-on "jobId=$plan")
submit mirror-merge "[\"merge\", \"mirror.yaml\", \"--shards\", \"$shards\"]" --depends-on "jobId=$array"
