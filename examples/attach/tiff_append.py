"""Appends pages to one TIFF, as a camera's recorder does: python3 tiff_append.py run.tif [FRAMES [SECONDS]]"""

import sys
import time

import numpy as np
import tifffile
from cahn_hilliard import frames

path, count, pause = sys.argv[1], int((sys.argv[2:] or ["60"])[0]), float((sys.argv[3:] or ["0.1"])[0])
for t, c in frames(count):
    page = np.clip(32768 + 25000 * c, 0, 65535).astype(np.uint16)
    tifffile.imwrite(path, page, append=True, metadata=None, photometric="minisblack")
    time.sleep(pause)
