#!/usr/bin/env bash
# Trains on all workers of a TPU pod slice at once:
#
#   experiments/launch/tpu_pod.sh POD ZONE pod gs://BUCKET/runs/pod \
#     --config.data.source=tfds:gs://BUCKET/photos \
#     --config.data.device_resident=false
#
# POD is the slice's name, ZONE its zone. The workdir and the data lie in a
# bucket, and sclc is installed on every worker: docs/training.md says how. A
# preempted worker ends all of them: start it again. `--dry-run` before POD prints
# the command instead of running it. Not run on a TPU yet.
set -euo pipefail

run() { "$@"; }
if [[ ${1:-} == --dry-run ]]; then
  run() { printf '%q ' "$@" && echo; }
  shift
fi
pod=${1:?name of the slice}
zone=${2:?its zone}
config=${3:?recipe, for example pod}
workdir=${4:?workdir, for example gs://BUCKET/runs/pod}
shift 4
command="sclc train --distributed --config $(printf '%q' "$config")"
command+=" --workdir $(printf '%q' "$workdir")"
if (($#)); then
  command+=$(printf ' %q' "$@")
fi
run gcloud compute tpus tpu-vm ssh "$pod" --zone "$zone" --worker=all \
  --command "$command"
