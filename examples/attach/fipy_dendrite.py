"""Dendritic solidification in FiPy (its example phase.anisotropy: the model of Warren, Kobayashi, Lobkovsky and Carter,
Acta Mater. 51, 2003), a frame every three steps: python3 fipy_dendrite.py FOLDER [FRAMES [SIZE]]"""

import os
import sys

import numpy as np
from fipy import CellVariable, DiffusionTerm, Grid2D, ImplicitSourceTerm, TransientTerm, Variable

folder, frames, size = sys.argv[1], int((sys.argv[2:] or ["80"])[0]), int((sys.argv[3:] or ["96"])[0])
dx, dt, steps = 0.025, 5e-4, 3

mesh = Grid2D(dx=dx, dy=dx, nx=size, ny=size)
phase = CellVariable(name="phase", mesh=mesh, hasOld=True)  # 1 is solid, 0 melt
undercooling = CellVariable(name="undercooling", mesh=mesh, hasOld=True, value=-0.5)
x, y = mesh.cellCenters
middle = size * dx / 2
phase.setValue(1.0, where=(x - middle) ** 2 + (y - middle) ** 2 < (5 * dx) ** 2)

# Six arms, turned by 22.5 degrees, 2 % anisotropy of the gradient energy.
alpha, c, arms = 0.015, 0.02, 6
angle = np.pi / 8 + np.arctan2(phase.faceGrad[1], phase.faceGrad[0])
tangent = np.tan(arms * angle / 2)
beta = (1 - tangent**2) / (1 + tangent**2)
slope = -arms * 2 * tangent / (1 + tangent**2)
identity, turn = Variable(value=((1, 0), (0, 1))), Variable(value=((0, -1), (1, 0)))
stiffness = alpha**2 * (1 + c * beta) * ((1 + c * beta) * identity + c * slope * turn)

drive = phase - 0.5 - 0.9 / np.pi * np.arctan(20 * undercooling)
solidify = TransientTerm(3e-4) == DiffusionTerm(stiffness) + ImplicitSourceTerm(drive * (1 - phase))
heat = TransientTerm() == DiffusionTerm(2.25) + (phase - phase.old) / dt


def write(n, time):
    """A frame under a temporary name, then its time, then the name that it is found by."""
    path = os.path.join(folder, f"phase_{n:04d}.npy")
    with open(path + ".tmp", "wb") as file:
        np.save(file, phase.value.reshape(size, size).astype(np.float32))  # x runs fastest; row 0 is the least y
    with open(os.path.join(folder, "times.csv"), "a") as times:
        times.write(f"{n},{time:.6g}\n")
    os.replace(path + ".tmp", path)


os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "times.csv"), "w") as times:
    times.write("frame,time\n")
for n in range(frames):
    write(n, n * steps * dt)
    for _ in range(steps):
        phase.updateOld()
        undercooling.updateOld()
        solidify.solve(phase, dt=dt)
        heat.solve(undercooling, dt=dt)
