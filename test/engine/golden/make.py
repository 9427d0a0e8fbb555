"""Writes reference-work.safetensors: the network of bench/reference-work.ts in PyTorch, with its loss and all gradients.

Needs Python with torch and safetensors (made with torch 2.13.0 on a CPU): python make.py reference-work.safetensors

Frames [N, T, 1, S, S]. Encoder: two 3x3 stride-2 convolutions (1 -> 32 -> C, leaky ReLU 0.2), no bias. Predictor: two
ConvLSTM layers of C channels, one 3x3 convolution of [x, h] to the four gates in the order i, f, o, g, with a bias.
Decoder: nearest x2, 3x3 C -> 32, leaky ReLU 0.2, nearest x2, 3x3 32 -> 1. Every frame is given; the loss is the mean
over t of the mean squared error of frame t+1. Weights are random, so nothing is right by symmetry; OIHW.
"""
import sys
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(7)
N, T, S, C, K = 2, 4, 16, 8, 3

shapes = {"enc1": (32, 1, 3, 3), "enc2": (C, 32, 3, 3), "dec1": (32, C, 3, 3), "dec2": (1, 32, 3, 3)}
for l in range(2):
    shapes[f"lstm{l}"] = (4 * C, 2 * C, K, K)
    shapes[f"lstm{l}_bias"] = (4 * C,)
W = {k: (torch.randn(s) * 0.05).requires_grad_(True) for k, s in shapes.items()}
clip = torch.rand(N, T, 1, S, S)


def act(x):
    return F.leaky_relu(x, 0.2)


def up(x):
    return F.interpolate(x, scale_factor=2)


def encode(x):
    return act(F.conv2d(act(F.conv2d(x, W["enc1"], stride=2, padding=1)), W["enc2"], stride=2, padding=1))


def decode(z):
    return F.conv2d(up(act(F.conv2d(up(z), W["dec1"], padding=1))), W["dec2"], padding=1)


def cell(l, x, h, c):
    gates = F.conv2d(torch.cat([x, h], 1), W[f"lstm{l}"], W[f"lstm{l}_bias"], padding=K // 2)
    i, f, o, g = gates.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


zero = torch.zeros(N, C, S // 4, S // 4)
state, total = [(zero, zero), (zero, zero)], 0.0
for t in range(T - 1):
    x = encode(clip[:, t])
    for l in range(2):
        state[l] = cell(l, x, *state[l])
        x = state[l][0]
    total = total + ((decode(x) - clip[:, t + 1]) ** 2).mean()
loss = total / (T - 1)
loss.backward()

save_file(
    {
        "clip": clip,
        "loss": loss.detach().reshape(1),
        **{k: w.detach().contiguous() for k, w in W.items()},
        **{f"grad.{k}": w.grad.contiguous() for k, w in W.items()},
    },
    sys.argv[1],
)
