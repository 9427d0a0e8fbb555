"""The reference work of bench/reference-work.ts in PyTorch, for comparison; needs torch alone.

    python bench/reference_work.py '{"n": 4, "t": 10, "size": 64, "channels": 64, "kernel": 3, "threads": 2, "runs": 5}'

Prints {"forward_ms": ..., "step_ms": ...}: medians over the runs, after two that do not count. "forward" is the loss
without gradients, "step" loss, gradients and one step of gradient descent.
"""
import json, statistics, sys, time
import torch
import torch.nn.functional as F

work = json.loads(sys.argv[1])
on_gpu = work.get("device", "cpu") != "cpu" and torch.cuda.is_available()
torch.set_default_device("cuda" if on_gpu else "cpu")
n, t, size, channels, kernel = (work[key] for key in ("n", "t", "size", "channels", "kernel"))
torch.set_num_threads(work["threads"])
torch.manual_seed(1)


def weight(*shape):
    return (0.05 * torch.randn(*shape)).requires_grad_(True)


encoder = [weight(32, 1, 3, 3), weight(channels, 32, 3, 3)]
cells = [(weight(4 * channels, 2 * channels, kernel, kernel), weight(4 * channels)) for _ in range(2)]
decoder = [weight(32, channels, 3, 3), weight(1, 32, 3, 3)]
weights = [*encoder, *(w for cell in cells for w in cell), *decoder]
clip = torch.rand(n, t, 1, size, size)


def loss():
    zero = torch.zeros(n, channels, size // 4, size // 4)
    states = [(zero, zero) for _ in cells]
    errors = []
    for at in range(t - 1):
        x = clip[:, at]
        for w in encoder:
            x = F.leaky_relu(F.conv2d(x, w, stride=2, padding=1), 0.2)
        for layer, (w, bias) in enumerate(cells):
            h, c = states[layer]
            gates = F.conv2d(torch.cat([x, h], 1), w, bias, padding=kernel // 2)
            i, f, o, g = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            x = torch.sigmoid(o) * torch.tanh(c)
            states[layer] = (x, c)
        x = F.leaky_relu(F.conv2d(F.interpolate(x, scale_factor=2), decoder[0], padding=1), 0.2)
        x = F.conv2d(F.interpolate(x, scale_factor=2), decoder[1], padding=1)
        errors.append(F.mse_loss(x, clip[:, at + 1]))
    return sum(errors) / len(errors)


def forward():
    with torch.no_grad():
        loss()


def step():
    for w in weights:
        w.grad = None
    loss().backward()
    with torch.no_grad():
        for w in weights:
            w -= 1e-3 * w.grad


def timed(action):
    start = time.perf_counter()
    action()
    if on_gpu:
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


times = [(timed(forward), timed(step)) for _ in range(work["runs"] + 2)][2:]
print(json.dumps({"forward_ms": statistics.median(a for a, _ in times), "step_ms": statistics.median(b for _, b in times)}))
