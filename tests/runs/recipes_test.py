import configparser
import pathlib

import pytest

from sclc_jax import cli
from sclc_jax.config import BASES, STAGES, stage_model
from sclc_jax.runs import experiment, recipes, sweep

ROOT = pathlib.Path(__file__).parents[2]
NAMES = recipes.names()
SWEEPS = recipes.names(recipes.SWEEPS)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_freezes_by_its_name_as_by_its_path(name):
  path = ROOT / "experiments" / f"{name}.py"
  config = experiment.load_config(name)
  assert config == experiment.load_config(path)
  run = [s for s in STAGES if getattr(config.stages, s).steps]
  assert stage_model(config, run[-1]).N == config.model.N


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", ["paper", "pod"])
def test_the_full_recipes_take_every_base_by_override(name, base):
  override = f"--config.model.base={base}"
  assert experiment.load_config(name, [override]).model.base == base


@pytest.mark.parametrize("name", SWEEPS)
def test_the_points_of_every_sweep_freeze_and_differ(name):
  points = list(sweep.load_sweep(name).values())
  assert len(points) > 1
  assert all(a != b for i, a in enumerate(points) for b in points[:i])


def test_overrides_reach_every_point_of_a_sweep():
  points = sweep.load_sweep("bases", ["--config.optim.lr=0.5"])
  assert {point.optim.lr for point in points.values()} == {0.5}


def test_a_recipe_is_found_by_name_in_any_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "smoke").mkdir()  # a workdir, say
  assert recipes.find("smoke").name == "smoke.py"
  (tmp_path / "mine.py").write_text("")
  assert recipes.find("mine.py") == pathlib.Path("mine.py")


@pytest.mark.parametrize("recipe", ["smok", "no/such.py", "sweeps/bases"])
def test_an_unknown_recipe_is_one_line_with_the_names(recipe, capsys, tmp_path):
  args = ["train", "--config", recipe, "--workdir", str(tmp_path)]
  assert cli.main(args) == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert recipe in line and all(name in line for name in NAMES)


def test_an_unknown_sweep_lists_the_sweeps(capsys):
  assert cli.main(["sweep", "smoke", "--list"]) == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert all(name in line for name in SWEEPS)


def test_the_install_has_every_package_and_the_recipes():
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg")
  folders = {path.parent for path in (ROOT / "sclc_jax").rglob("*.py")}
  packages = {".".join(f.relative_to(ROOT).parts) for f in folders}
  packages |= {"sclc_jax.experiments", "sclc_jax.experiments.sweeps"}
  assert set(setup["options"]["packages"].split()) == packages
  assert all((folder / "__init__.py").exists() for folder in folders)
  mapped = setup["options"]["package_dir"].split("=")
  assert [part.strip() for part in mapped] == [
    "sclc_jax.experiments",
    "experiments",
  ]
