"""What can be configured, as frozen, validated dataclasses.

`experiments/*.py` return an ml_collections ConfigDict, which is open to
overrides from the command line; `from_config_dict` turns it into
`ExperimentConfig` once. Everything inside the package sees only dataclasses.
"""

from sclc_jax.config.model import LARGE_KERNEL, ModelConfig, Objective
from sclc_jax.config.rules import (
  BASES,
  DECODER_PARTS,
  INIT_PARTS,
  PARTS,
  belongs,
)
from sclc_jax.config.training import (
  STAGES,
  DataConfig,
  ExperimentConfig,
  OptimConfig,
  StageConfig,
  StagesConfig,
  TrainConfig,
  changes,
  default_config_dict,
  differences,
  from_config_dict,
  from_dict,
  stage_model,
)

__all__ = [
  "BASES",
  "DECODER_PARTS",
  "INIT_PARTS",
  "LARGE_KERNEL",
  "PARTS",
  "STAGES",
  "DataConfig",
  "ExperimentConfig",
  "ModelConfig",
  "Objective",
  "OptimConfig",
  "StageConfig",
  "StagesConfig",
  "TrainConfig",
  "belongs",
  "changes",
  "default_config_dict",
  "differences",
  "from_config_dict",
  "from_dict",
  "stage_model",
]
