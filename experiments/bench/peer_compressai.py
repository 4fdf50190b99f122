"""One measurement of CompressAI (PyTorch, CPU), printed as JSON.

Needs an environment of its own with torch and compressai, and nothing of
this project. Called by codec_speed.py, decoding.py and train_step.py.
"""

import argparse
import importlib.util
import json
import resource
import statistics
import sys
import time
import unittest.mock

import numpy as np
import torch

if not importlib.util.find_spec("torchvision"):
  # CompressAI imports it for its data sets alone, which are not used here.
  for name in ("torchvision", "torchvision.transforms"):
    sys.modules[name] = unittest.mock.MagicMock()

import compressai.models  # noqa: E402

ARCHITECTURES = {
  "bmshj2018-hyperprior": compressai.models.ScaleHyperprior,
  "mbt2018-mean": compressai.models.MeanScaleHyperprior,
  "mbt2018": compressai.models.JointAutoregressiveHierarchicalPriors,
}


def seconds(call, repeats):
  call()
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
  return statistics.median(times)


def code(net, image, repeats):
  """Encode and decode seconds of a uint8 image [H, W, 3]."""
  net.eval().update()
  with torch.no_grad():
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    out = net.compress(x)
    encode = seconds(lambda: net.compress(x), repeats)
    decode = seconds(
      lambda: net.decompress(out["strings"], out["shape"]), repeats
    )
  return {"encode_s": encode, "decode_s": decode}


def train(net, batch, size, repeats):
  """Seconds of a single-level training step."""
  net.train()
  optimizer = torch.optim.Adam(net.parameters(), 1e-4)
  x = torch.rand(batch, 3, size, size)

  def step():
    optimizer.zero_grad()
    out = net(x)
    bits = sum(-torch.log2(p).sum() for p in out["likelihoods"].values())
    error = ((out["x_hat"] - x) ** 2).mean()
    (bits / (batch * size * size) + 0.01 * 255**2 * error).backward()
    optimizer.step()

  return {"step_s": seconds(step, repeats)}


def main():
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
  )
  parser.add_argument("what", choices=("code", "train"), help="what to time")
  parser.add_argument("--image", help=".npy, uint8 [H, W, 3]")
  parser.add_argument(
    "--arch", default="bmshj2018-hyperprior", help="the model"
  )
  parser.add_argument(
    "--N", type=int, default=192, help="width of the transforms and of z"
  )
  parser.add_argument("--M", type=int, default=320, help="width of y")
  parser.add_argument("--batch", type=int, default=8, help="crops a step")
  parser.add_argument(
    "--size", type=int, default=256, help="side of the crops, pixels"
  )
  parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
  parser.add_argument("--repeats", type=int, default=5, help="measurements")
  args = parser.parse_args()
  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  net = ARCHITECTURES[args.arch](args.N, args.M)
  if args.what == "code":
    result = code(net, np.load(args.image), args.repeats)
  else:
    result = train(net, args.batch, args.size, args.repeats)
  usage = resource.getrusage(resource.RUSAGE_SELF)
  print(json.dumps({**result, "peak_mib": usage.ru_maxrss / 1024}))


if __name__ == "__main__":
  main()
