"""Writes e3d-lstm.safetensors: random weights, a clip of latents, and what an E3D-LSTM makes of it, step by step.

Needs Python with torch and safetensors (made with torch 2.13.0 on a CPU): python e3d_lstm.py e3d-lstm.safetensors

The equations of Wang et al. (ICLR 2019), transcribed with torch's own 3-D convolutions, layer norm and softmax on tensors
[N, C, T, H, W]; T = 2 frames, kernel 2x3x3 'same' (one frame of zeros behind the last in time, zeros around in space; or
around the edges). Layer norm is over C, T, H, W of each sample, gain and shift for each channel. Recalled are the cells of
the last HISTORY steps; before the first there is nothing to recall. Gates are stacked in the order i g r o i' g' f' (input),
i g r o (output), i f g m (global memory).
"""
import sys
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(11)
N, STEPS, H, W, INPUTS, C, LAYERS, HISTORY, K = 2, 4, 5, 6, 2, 3, 2, 2, 3

weights = {}


def conv(name, inputs, outputs, kernel):
    weights[f"{name}.weight"] = torch.randn(outputs, inputs, *kernel) * 0.25
    weights[f"{name}.bias"] = torch.randn(outputs) * 0.2


def norm(name, channels):
    weights[f"{name}.gain"] = 1 + 0.3 * torch.randn(channels)
    weights[f"{name}.shift"] = 0.3 * torch.randn(channels)


for l in range(LAYERS):
    inputs = INPUTS if l == 0 else C
    for part, i, o in [("input", inputs, 7 * C), ("output", C, 4 * C), ("global", C, 4 * C)]:
        conv(f"layer{l}.{part}", i, o, (2, K, K))
        norm(f"layer{l}.{part}", o)
    norm(f"layer{l}.recall", C)
    conv(f"layer{l}.from_cell", C, C, (2, K, K))
    conv(f"layer{l}.from_global", C, C, (2, K, K))
    conv(f"layer{l}.mix", 2 * C, C, (1, 1, 1))
clip = torch.rand(STEPS, N, INPUTS, H, W)


def run(boundary):
    def convolve(name, x):
        k = weights[f"{name}.weight"]
        side = k.shape[-1] // 2
        x = F.pad(x, (side, side, side, side, 0, 0), mode="circular" if boundary == "periodic" else "constant")
        x = F.pad(x, (0, 0, 0, 0, 0, k.shape[2] - 1))
        return F.conv3d(x, k, weights[f"{name}.bias"])

    def layer_norm(name, x):
        plain = F.layer_norm(x, x.shape[1:], eps=1e-5)
        gain, shift = weights[f"{name}.gain"], weights[f"{name}.shift"]
        return plain * gain[None, :, None, None, None] + shift[None, :, None, None, None]

    def attend(r, cells):
        if not cells:
            return torch.zeros_like(r)
        out = torch.empty_like(r)
        for n in range(N):
            keys = torch.cat([cell[n].flatten(1).T for cell in cells])  # [steps T H W, C]
            query = r[n].flatten(1).T  # [T H W, C]
            out[n] = (torch.softmax(query @ keys.T, -1) @ keys).T.reshape(r[n].shape)
        return out

    zero = torch.zeros(N, C, 2, H, W)
    hidden, cells, memory = [zero] * LAYERS, [[] for _ in range(LAYERS)], zero
    before = torch.zeros(N, INPUTS, H, W)
    outputs, memories = [], []
    for now in clip:
        x = torch.stack([before, now], 2)
        before = now
        for l in range(LAYERS):
            name = f"layer{l}"
            ix, gx, rx, ox, ix2, gx2, fx2 = layer_norm(f"{name}.input", convolve(f"{name}.input", x)).chunk(7, 1)
            ih, gh, rh, oh = layer_norm(f"{name}.output", convolve(f"{name}.output", hidden[l])).chunk(4, 1)
            im, fm, gm, mm = layer_norm(f"{name}.global", convolve(f"{name}.global", memory)).chunk(4, 1)
            i, g, r = torch.sigmoid(ix + ih), torch.tanh(gx + gh), torch.sigmoid(rx + rh)
            last = cells[l][-1] if cells[l] else zero
            cell = layer_norm(f"{name}.recall", last + attend(r, cells[l][-HISTORY:])) + i * g
            i2, g2, f2 = torch.sigmoid(ix2 + im), torch.tanh(gx2 + gm), torch.sigmoid(fx2 + fm + 1)
            memory = f2 * torch.tanh(mm) + i2 * g2
            o = torch.tanh(ox + oh + convolve(f"{name}.from_cell", cell) + convolve(f"{name}.from_global", memory))
            hidden[l] = torch.sigmoid(o) * torch.tanh(convolve(f"{name}.mix", torch.cat([cell, memory], 1)))
            cells[l].append(cell)
            x = hidden[l]
        outputs.append(x)
        memories.append(memory)
    return torch.stack(outputs), torch.stack(memories)


tensors = {f"weight.{name}": w for name, w in weights.items()}
tensors["clip"] = clip.permute(0, 1, 3, 4, 2)  # [STEPS, N, H, W, INPUTS]
for boundary in ["zero", "periodic"]:
    outputs, memories = run(boundary)
    tensors[f"{boundary}.output"] = outputs.permute(0, 1, 4, 5, 3, 2)  # [STEPS, N, H, W, T, C]
    tensors[f"{boundary}.memory"] = memories.permute(0, 1, 4, 5, 3, 2)
save_file({name: t.contiguous() for name, t in tensors.items()}, sys.argv[1])
