"""The training step of this project in PyTorch, timed; prints JSON.

The same layers, widths, levels, noise and loss as `models/variable_rate.py`
with selection, written with PyTorch's own operations, so that a GPU compares
like with like. Needs torch, and nothing of this project. By gpu_train.py.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class LowerBound(torch.autograd.Function):
  """max(x, bound), with the gradient that would raise x passed."""

  @staticmethod
  def forward(ctx, x, bound):
    ctx.save_for_backward(x)
    ctx.bound = bound
    return x.clamp(min=bound)

  @staticmethod
  def backward(ctx, grad):
    (x,) = ctx.saved_tensors
    return grad * ((x >= ctx.bound) | (grad < 0)), None


bound = LowerBound.apply


class GDN(nn.Module):
  def __init__(self, width, inverse=False):
    super().__init__()
    self.inverse = inverse
    self.beta = nn.Parameter(torch.ones(width))
    self.gamma = nn.Parameter(0.1 * torch.eye(width))

  def forward(self, x):
    beta, gamma = bound(self.beta, 1e-6), bound(self.gamma, 0.0)
    norm = F.conv2d(x * x, gamma[:, :, None, None].to(x.dtype))
    norm = torch.sqrt(norm + beta[:, None, None].to(x.dtype))
    return x * norm if self.inverse else x / norm


def down(inputs, outputs):
  return nn.Conv2d(inputs, outputs, 5, 2, 2)


def up(inputs, outputs):
  return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)


class Density(nn.Module):
  """The factorised density of z."""

  def __init__(self, channels):
    super().__init__()
    widths = (1, 3, 3, 3, 1)
    self.matrices = nn.ParameterList(
      [torch.zeros(channels, o, i) for i, o in zip(widths, widths[1:])]
    )
    self.biases = nn.ParameterList(
      [torch.rand(channels, o, 1) - 0.5 for o in widths[1:]]
    )
    self.factors = nn.ParameterList(
      [torch.zeros(channels, 3, 1) for _ in range(3)]
    )

  def logits(self, z):
    for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases)):
      z = F.softplus(matrix) @ z + bias
      if i < 3:
        z = z + torch.tanh(self.factors[i]) * torch.tanh(z)
    return z

  def forward(self, z):
    columns = z.transpose(0, 1).reshape(z.shape[1], 1, -1).float()
    lower, upper = self.logits(columns - 0.5), self.logits(columns + 0.5)
    sign = -torch.sign(lower + upper).detach()
    mass = torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)
    return mass.abs()


class VariableRate(nn.Module):
  def __init__(self, N, M, levels=8):
    super().__init__()
    self.analysis = nn.Sequential(
      down(3, N), GDN(N), down(N, N), GDN(N), down(N, N), GDN(N), down(N, M)
    )
    self.synthesis = nn.Sequential(
      up(M, N), GDN(N, True), up(N, N), GDN(N, True), up(N, N), GDN(N, True),
      up(N, 3),
    )  # fmt: skip
    self.hyper_analysis = nn.Sequential(
      nn.Conv2d(M, N, 3, 1, 1), nn.ReLU(), down(N, N), nn.ReLU(), down(N, N)
    )
    self.hyper_features = nn.Sequential(
      up(N, N), nn.ReLU(), up(N, N), nn.ReLU()
    )
    self.hyper_scale = nn.Conv2d(N, M, 3, 1, 1)
    self.head = nn.Conv2d(N, M, 1)
    self.qv = nn.Parameter(torch.ones(levels, M))
    self.iqv = nn.Parameter(torch.ones(levels, M))
    self.gamma = nn.Parameter(torch.ones(levels, M))
    self.density = Density(N)
    self.lmbdas = [0.0015625 * 2**i for i in range(levels)]

  def forward(self, x, levels):
    """Loss of x [B, 3, H, W] in [-1, 1] at the levels [K]."""
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    y = self.analysis(x)
    z = self.hyper_analysis(y.abs())
    z = z + torch.rand_like(z) - 0.5
    features = self.hyper_features(z)
    scale = F.relu(self.hyper_scale(features)).float()
    importance = self.head(features).float() + 0.5
    importance = 1 - bound(1 - bound(importance, 0.0), 0.0)
    y = y.float()
    bits_z = -torch.log2(bound(self.density(z), 1e-9)).sum() / pixels
    loss = 0.0
    for level in levels:
      step = bound(self.qv[level], 0.0)[:, None, None] + 1e-5
      back = bound(self.iqv[level], 0.0)[:, None, None] + 1e-5
      gamma = bound(self.gamma[level], 0.0)[:, None, None]
      y_tilde = y / step + torch.rand_like(y) - 0.5
      deviation = bound(scale / step, 0.11)
      distance = y_tilde.abs()
      mass = torch.special.ndtr((0.5 - distance) / deviation)
      mass = mass - torch.special.ndtr((-0.5 - distance) / deviation)
      chance = importance.clamp(min=1e-6) ** gamma
      hard = (torch.rand_like(chance) < chance).float()
      mask = hard + chance - chance.detach()
      bits = (-torch.log2(bound(mass, 1e-9)) * mask).sum() / pixels
      x_hat = self.synthesis((y_tilde * mask * back).to(x.dtype))
      error = (((x_hat.float() - x.float()) * 127.5) ** 2).mean()
      loss = loss + self.lmbdas[level] * error + bits + bits_z
    return loss * (8 / len(levels))


def main():
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.ArgumentDefaultsHelpFormatter,
  )
  parser.add_argument(
    "--N", type=int, default=192, help="width of the transforms and of z"
  )
  parser.add_argument("--M", type=int, default=320, help="width of y")
  parser.add_argument("--batch", type=int, default=8, help="crops a step")
  parser.add_argument(
    "--size", type=int, default=256, help="side of the crops, pixels"
  )
  parser.add_argument("--levels", type=int, default=1, help="1 or 8 a step")
  parser.add_argument("--steps", type=int, default=50, help="a round")
  parser.add_argument(
    "--rounds", type=int, default=3, help="of which the median counts"
  )
  parser.add_argument("--compile", action="store_true", help="torch.compile")
  args = parser.parse_args()
  torch.manual_seed(0)
  device = "cuda" if torch.cuda.is_available() else "cpu"
  torch.backends.cudnn.benchmark = True
  torch.backends.cuda.matmul.allow_tf32 = True
  torch.backends.cudnn.allow_tf32 = True
  net = VariableRate(args.N, args.M).to(device)
  net = net.to(memory_format=torch.channels_last)
  optimizer = torch.optim.Adam(net.parameters(), 1e-4)
  run = torch.compile(net) if args.compile else net
  x = torch.rand(args.batch, 3, args.size, args.size, device=device) * 2 - 1
  x = x.to(memory_format=torch.channels_last)

  def step(i):
    levels = range(8) if args.levels == 8 else [i % 8]
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16):
      loss = run(x, list(levels))
    loss.backward()
    optimizer.step()
    return loss

  def wait():
    if device == "cuda":
      torch.cuda.synchronize()

  for i in range(10):
    step(i)
  wait()
  times = []
  for _ in range(args.rounds):
    start = time.perf_counter()
    for i in range(args.steps):
      loss = step(i)
    wait()
    times.append((time.perf_counter() - start) / args.steps)
  result = {"step_s": statistics.median(times), "loss": float(loss)}
  if device == "cuda":
    result["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
  print(json.dumps(result))


if __name__ == "__main__":
  main()
