"""Commands on a bucket give what they give on a folder of this machine."""

import csv
import io

import numpy as np
import pytest
from cli_runs import RECIPE, run

from sclc_jax.buckets import find
from sclc_jax.files import is_there, read_whole, write_whole
from sclc_jax.images import png_bytes
from sclc_jax.train.logs import SPEED


@pytest.fixture
def photos(album, bucket, photo) -> str:
  """Two photos in the folder `photos`, and in one of a bucket."""
  for top, name in enumerate(("a.png", "b.png")):
    data = png_bytes(np.ascontiguousarray(photo[top : top + 64, :80]))
    for folder in (bucket, str(album)):
      write_whole(f"{folder}/photos/{name}", data, make_folder=True)
  return f"{bucket}/photos"


def _log(workdir: str) -> list[dict[str, str]]:
  text = read_whole(f"{workdir}/log.csv").decode()
  rows = csv.DictReader(io.StringIO(text))
  return [{k: v for k, v in row.items() if k not in SPEED} for row in rows]


def test_a_run_in_a_bucket_ends_in_the_model_of_a_local_run(
  album, bucket, photos
):
  (album / "c.py").write_text(RECIPE)
  remote, local = f"{bucket}/w", "w"

  def train(workdir, source, *args):
    return run(
      "train", "--config", "c.py", "--workdir", workdir, "--quiet",
      f"--config.data.source=folder:{source}", *args,
    )  # fmt: skip

  done = train(remote, photos, "--stop-at", 1)
  text = "stopped at step 1 of 3; the same command without --stop-at resumes"
  assert (done.code, done.out.decode()) == (0, f"{text}, {remote}\n"), done.err
  done = train(remote, photos, "--profile", "1:3")
  assert (done.code, done.out.decode()) == (0, f"finished: step 3, {remote}\n")
  resumed, traced = done.err.splitlines()
  assert resumed == "resumed from step 1 of 3 (stage base)"
  traces = f"{remote}/tensorboard/plugins/profile"
  assert traced.startswith(f"steps 2 to 3 are traced in {traces}; ")
  assert any(name.endswith(".xplane.pb") for name in find(traces))
  assert train(local, "photos").code == 0
  assert _log(remote) == _log(local)
  boards = [n for n in find(f"{remote}/tensorboard") if "events" in n]
  assert len(boards) == 2 and all(map(read_whole, boards))

  fingerprints = set()
  for workdir, model in ((remote, f"{bucket}/m.sclcm"), (local, "n.sclcm")):
    done = run("export", "--workdir", workdir, "-o", model)
    assert done.code == 0, done.err
    fingerprints.add(done.out.split()[-1])
    assert run("info", model).code == 1  # it is there, and no .sclc file
  assert len(fingerprints) == 1
  # Nothing has been made of the bucket's name.
  assert not list(album.glob("gs*"))


def test_files_in_a_bucket_are_those_of_this_machine(album, bucket, photos):
  write_whole(f"{bucket}/m.sclcm", (album / "m.sclcm").read_bytes())
  coded, model = f"{bucket}/coded/", ("--model", f"{bucket}/m.sclcm")
  assert run("compress", "photos", "-o", "coded/", *model).code == 0
  done = run("compress", photos, "-o", coded, *model)
  assert done.code == 0 and len(done.out.splitlines()) == 2, done.err
  for name in ("a.sclc", "b.sclc"):
    assert read_whole(coded + name) == read_whole(f"coded/{name}")
  done = run("compress", f"{photos}/a.png", "-o", coded, *model)
  assert done.code == 1 and "a.sclc exists already" in done.err
  for code in (0, 1):  # beside the inputs
    done = run("compress", f"{photos}/a.png", *model)
    assert done.code == code, done.err
    assert is_there(f"{photos}/a.sclc")
  done = run("compress", f"{photos}/*.png", "-o", coded, "--force", *model)
  assert done.code == 0, done.err
  done = run("compress", f"{photos}/a.png", "-o", f"{photos}/a.png", *model)
  assert done.code == 1 and "is the input" in done.err

  assert run("decompress", coded, "-o", f"{bucket}/back", *model).code == 0
  assert run("decompress", "coded", "-o", "back", *model).code == 0
  for name in ("a.png", "b.png"):
    assert read_whole(f"{bucket}/back/{name}") == read_whole(f"back/{name}")
  assert run("info", f"{coded}a.sclc", *model).code == 0
  done = run("decompress", f"{coded}no.sclc", "-o", "no.png", *model)
  assert done.code == 1 and done.err.count("\n") == 1


def test_an_evaluation_of_a_bucket_has_the_rows_of_a_folder(
  album, bucket, photos
):
  def rows(images, table):
    done = run("evaluate", "--images", images, "--quality", 2, "--csv", table,
               "--model", "m.sclcm")  # fmt: skip
    assert done.code == 0, done.err
    text = read_whole(table).decode()
    return [line.split(",")[:5] for line in text.splitlines()]

  assert rows(photos, f"{bucket}/r.csv") == rows("photos", "r.csv")
