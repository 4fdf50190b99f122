"""The notebooks run top to bottom, with the small numbers given here.

They are Colab's, whose Python is 3.12 or later: environment B. They run as on a
new runtime of Colab's: the packages that sclc_jax needs are there, sclc_jax is
not, and its wheel is.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "colab"
# nbclient waits for ever, now and then, for a cell with an Output widget, which
# `interact` makes (jupyter/nbclient issue 312). What that calls is run all the
# same.
_STILL = "ipywidgets.interact = lambda show, quality: show(quality.value)"
SMALL = {
  "demo": f"MAX_BYTES = 9_000\nimport ipywidgets\n{_STILL}",
  "train": "STEPS, N, M, BATCH, CROP = (2, 1, 1, 1), 8, 12, 2, 64",
}
# What Colab's dialog does where a person chooses a file, or none.
_DIALOG = """
import sys, types
files = types.SimpleNamespace(upload=lambda: {chosen})
sys.modules["google"] = types.ModuleType("google")
sys.modules["google.colab"] = types.SimpleNamespace(files=files)
"""


def _read(name):
  return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def _run(notebook, kernel, folder, **options):
  nbclient.NotebookClient(
    notebook, timeout=1200, kernel_name=kernel,
    resources={"metadata": {"path": str(folder)}}, **options,
  ).execute()  # fmt: skip


def _outputs(cells, kind):
  return [
    output
    for cell in cells
    for output in cell.get("outputs", [])
    if output.output_type == kind
  ]


def _text(cells):
  return "".join(output.text for output in _outputs(cells, "stream"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """Made of a copy: in the checkout the build would leave files behind."""
  folder = tmp_path_factory.mktemp("wheel")
  source = folder / "source"
  for name in ("sclc_jax", "experiments"):
    shutil.copytree(
      ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
    )
  for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, source)
  pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
  options = ["-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
  subprocess.run([*pip, "wheel", *options, str(source)], check=True)
  (path,) = folder.glob("*.whl")
  return path


@pytest.fixture
def kernel(tmp_path, monkeypatch):
  """Name of a kernel that has this Python's packages except for sclc_jax."""
  runtime = tmp_path / "runtime"
  venv.create(runtime, symlinks=True)
  packages = sysconfig.get_path("purelib", "venv", {"base": str(runtime)})
  for entry in pathlib.Path(sysconfig.get_path("purelib")).iterdir():
    if "sclc_jax" not in entry.name and entry.name != "__pycache__":
      (pathlib.Path(packages) / entry.name).symlink_to(entry)
  spec = tmp_path / "jupyter" / "kernels" / "new_runtime" / "kernel.json"
  spec.parent.mkdir(parents=True)
  start = [str(runtime / "bin" / "python"), "-m", "ipykernel_launcher"]
  spec.write_text(json.dumps({
    "argv": [*start, "-f", "{connection_file}"],
    "display_name": "New runtime", "language": "python",
  }))  # fmt: skip
  monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
  monkeypatch.setenv("PIP_NO_INDEX", "1")  # nothing else is missing
  monkeypatch.delenv("PYTHONPATH", raising=False)
  return spec.parent.name


@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs_from_top_to_bottom(
  name, wheel, kernel, tmp_path, monkeypatch
):
  # Compiling is most of the time of these few steps.
  monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
  notebook = _read(name)
  (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get(
    "tags", []))  # fmt: skip
  cell.source += f"\n{SMALL[name]}"
  folder = tmp_path / "content"
  folder.mkdir()
  source = wheel.name
  if name == "demo":
    shutil.copy(wheel, folder)
  else:
    source = str(wheel)
    notebook.cells[1].source = notebook.cells[1].source.replace(
      'SOURCE = ""', f"SOURCE = {source!r}"
    )
  _run(notebook, kernel, folder)
  used = rf"Using sclc_jax \d\S+, from {re.escape(source)}\.\n"
  assert re.fullmatch(used, _text(notebook.cells[1:2]))
  pictures = [
    output
    for output in _outputs(notebook.cells, "display_data")
    if "image/png" in output.data
  ]
  assert len(pictures) >= {"demo": 3, "train": 2}[name]
  text = _text(notebook.cells)
  assert "Traceback" not in text and re.search(r"\d+ bytes", text)
  assert name == "demo" or "5/5" in text  # the bar of steps


def test_what_cannot_be_installed_ends_a_notebook_with_a_sentence(
  kernel, tmp_path
):
  upload = "import os, pathlib\npathlib.Path('{0}').touch()\n"
  old = upload + "os.utime('{0}', (0, 0))"
  cases = {
    "": "sclc_jax is missing: upload a wheel or a zip of it, or type ",
    _DIALOG.format(chosen={}): "sclc_jax is missing: upload a wheel or a zip ",
    _DIALOG.format(chosen={"no.zip": b""}): "pip cannot install no.zip, ",
    upload.format("sclc_jax-1.zip"): "pip cannot install sclc_jax-1.zip, ",
    old.format("sclc_jax.zip"): "pip cannot install sclc_jax-1.zip, ",
  }
  notebook = _read("demo")
  code = nbformat.v4.new_code_cell
  install = [code(notebook.cells[1].source) for _ in cases]
  notebook.cells = [
    cell for case, last in zip(cases, install) for cell in (code(case), last)
  ]
  _run(notebook, kernel, tmp_path, allow_errors=True)
  for cell, says in zip(install, cases.values()):
    (error,) = _outputs([cell], "error")
    (sentence,) = error.traceback
    assert sentence.startswith(says) and sentence.count(". ") == 0


def test_the_installed_package_is_used_where_nothing_was_uploaded(tmp_path):
  run = [sys.executable, "-c", _read("demo").cells[1].source]
  done = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
  said = r"Using sclc_jax \d\S+, which was installed already\.\n"
  assert re.fullmatch(said, done.stdout.decode())


@pytest.mark.parametrize("name", SMALL)
def test_notebook_is_kept_without_outputs(name):
  for cell in _read(name).cells:
    assert not cell.get("outputs") and cell.get("execution_count") is None


def test_notebooks_begin_alike():
  first = [_read(name).cells[1].source for name in SMALL]
  assert first[0] == first[1] and "sclc_jax.__version__" in first[0]
