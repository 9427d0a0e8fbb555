"""Appends frames and their times to one HDF5 file in SWMR mode: python3 hdf5_swmr.py run.h5 [FRAMES [SECONDS]]"""

import sys
import time

import h5py
from cahn_hilliard import frames

path, count, pause = sys.argv[1], int((sys.argv[2:] or ["60"])[0]), float((sys.argv[3:] or ["0.1"])[0])
with h5py.File(path, "w", libver="latest") as file:
    field = file.create_dataset("c", (0, 64, 64), "f4", maxshape=(None, 64, 64), chunks=(1, 64, 64))
    times = file.create_dataset("time", (0,), "f8", maxshape=(None,), chunks=(256,))
    times.attrs["units"] = "s"
    file.swmr_mode = True  # from here on readers may look
    for n, (t, c) in enumerate(frames(count)):
        times.resize((n + 1,))
        times[n] = t
        times.flush()
        field.resize((n + 1, 64, 64))
        field[n] = c
        field.flush()  # right after the frame was written: until then it reads as zeros
        time.sleep(pause)
