#!/usr/bin/env bash
# Jobs that are signalled, queue themselves again and end as unbroken ones:
#
#   JAX_PLATFORMS=cpu experiments/bench/slurm_local.sh DIR \
#     experiments/bench/slurm_jobs.sh PHOTOS W
#
# smoke on two nodes is signalled twice as Slurm does before a time limit; then
# the two points of a tiny sweep are trained by two tasks of an array.
set -euo pipefail

photos=$(cd "${1:?folder of photographs}" && pwd)
mkdir -p "${2:?folder of the runs}"
cd "$2"
script=$OLDPWD/experiments/launch/slurm.sbatch
source=--config.data.source=folder:$photos
cat >tiny.py <<'END'
from sclc_jax.runs.experiment import call_in_file
from sclc_jax.runs.recipes import sweep_points


def get_sweep():
  points = {"narrow": {}, "wide": {"model.M": 16}}
  return sweep_points(call_in_file("smoke", "get_config"), points)
END


steps() {
  tail -n 1 train/log.csv 2>/dev/null | grep -oE '^[0-9]+' || echo 0
}

job=$(sbatch --parsable --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 \
  --output=train.txt "$script" smoke "$PWD/train" "$source" \
  --config.stages.base.steps=60)
for time in 1 2; do
  first=$(steps)
  until (($(steps) > first + 4)); do sleep 0.5; done
  scancel --signal=TERM "$job"
  until scontrol show job "$job" | grep -q "Restarts=$time"; do sleep 0.5; done
  echo "signalled after step $(steps): the job is queued again"
done
array=$(sbatch --parsable --array=0-1 --nodes=1 --ntasks-per-node=1 \
  --cpus-per-task=1 --gpus-per-node=1 --output=sweep_%a.txt "$script" \
  tiny.py "$PWD/sweep" --images "$photos" "$source")
while squeue --noheader --jobs="$job,$array" | grep -q .; do sleep 1; done
scontrol show job "$job" | grep -oE '(JobState|Restarts)=\S*'
grep -hE '^(stopped|resumed|finished)' train.txt
cat sweep/summary.csv
