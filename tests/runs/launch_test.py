"""The launch scripts, with stand-ins for the programs of clusters."""

import os
import pathlib
import shlex
import subprocess

import pytest

LAUNCH = pathlib.Path(__file__).parents[2] / "experiments" / "launch"


@pytest.mark.parametrize(
  "script", sorted(LAUNCH.iterdir()), ids=lambda path: path.name
)
def test_launch_scripts_are_bash(script):
  subprocess.run(["bash", "-n", script], check=True)


def test_the_dry_run_for_a_pod_prints_what_every_worker_runs():
  override = "--config.data.source=folder:/mnt/my photos"
  command = [LAUNCH / "tpu_pod.sh", "--dry-run", "v5e", "us-a", "pod"]
  command += ["/mnt/a b", override]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  *flags, remote = shlex.split(done.stdout)
  assert " ".join(flags) == (
    "gcloud compute tpus tpu-vm ssh v5e --zone us-a --worker=all --command"
  )
  train = "sclc train --distributed --config pod --workdir".split()
  assert shlex.split(remote) == [*train, "/mnt/a b", override]


def _run_job(folder, ending, **env) -> tuple[int, str, list[str]]:
  """(exit code, what srun was called with, calls of scontrol) of the job."""
  srun = f"#!/bin/sh\nprintf '%s ' \"$@\" >srun.txt\n{ending}\n"
  scontrol = "#!/bin/sh\necho \"$@\" >>scontrol.txt\n"
  for name, text in (("srun", srun), ("scontrol", scontrol)):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
  env = os.environ | {
    "PATH": f"{folder}:{os.environ['PATH']}",
    "SLURM_JOB_ID": "7",
    "SLURM_CPUS_PER_TASK": "2",
    **env,
  }
  command = ["bash", LAUNCH / "slurm.sbatch", "pod", "/runs/a b", "--x=y z"]
  done = subprocess.run(
    command, cwd=folder, env=env, capture_output=True, text=True
  )
  said, calls = folder / "srun.txt", folder / "scontrol.txt"
  lines = calls.read_text().splitlines() if calls.exists() else []
  return done.returncode, said.read_text(), lines


@pytest.mark.parametrize(
  ("ending", "code", "calls"),
  [
    ("echo 'finished: step 9, /runs'", 0, []),
    ("echo 'stopped at step 5 of 9; the same command resumes, /runs'", 0,
     ["requeue 7"]),
    ("echo 'stopped at step 5 of 9; the same command without --stop-at "
     "resumes, /runs'", 0, []),
    ("echo 'sclc sweep: error: a was stopped at step 5 of 9; the same command "
     "resumes it.' >&2; exit 1", 0, ["requeue 7"]),
    ("echo 'sclc train: error: out of memory' >&2; exit 1", 1, []),
    ("exit 143", 0, ["requeue 7"]),
  ],
)  # fmt: skip
def test_a_job_that_was_signalled_and_no_other_queues_itself_again(
  tmp_path, ending, code, calls
):
  returned, said, called = _run_job(tmp_path, ending)
  assert (returned, called) == (code, calls)
  assert said.endswith(
    "sclc train --distributed --config pod --workdir /runs/a b --quiet --x=y z "
  )


def test_a_task_of_an_array_trains_its_point_of_the_sweep(tmp_path):
  _, said, _ = _run_job(tmp_path, "exit 0", SLURM_ARRAY_TASK_ID="3")
  assert "sclc sweep pod --index 3 --workdir /runs/a b --quiet" in said
