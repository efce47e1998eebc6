"""A matrix of similarities as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from svmixer.report.plots import save_figure

# Above these the names would lie over each other, and numbers in the squares could not be read.
MOST_NAMES, MOST_NUMBERS = 60, 15
# A picture has no more squares a side than this; matplotlib would need gigabytes for thousands.
MOST_SQUARES = 1000


def plot_matrix(names: list[str], matrix: np.ndarray, what: str, path: str | Path) -> None:
    """Write ``matrix (N, N)`` as PNG, with the names at its sides if there are few; ``what`` it has.

    The diagonal, every recording with itself, is left white. Of thousands a square is the mean of several.
    """
    count = len(names)
    shown = block_means(matrix, -(-count // MOST_SQUARES))
    size = float(np.clip(2.5 + 0.3 * count, 4.0, 16.0))
    figure, axis = plt.subplots(figsize=(1.2 * size, size), layout="constrained")
    edges = (-0.5, count - 0.5, count - 0.5, -0.5)
    image = axis.imshow(shown, cmap="viridis", interpolation="nearest", extent=edges)
    figure.colorbar(image, ax=axis, label=what, shrink=0.8)
    if count <= MOST_NAMES:
        axis.set_xticks(range(count), names, rotation=90, fontsize=8)
        axis.set_yticks(range(count), names, fontsize=8)
    else:
        axis.set_xlabel("recordings, in the order of their names")
    if count <= MOST_NUMBERS:
        middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
        for (row, column), value in np.ndenumerate(matrix):
            if row != column:
                colour = "black" if value > middle else "white"
                axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
    save_figure(figure, path)


def block_means(matrix: np.ndarray, step: int) -> np.ndarray:
    """Means ``(M, M)`` of squares of ``step`` rows and columns of ``matrix (N, N)``, M being N / step, up.

    The diagonal of the matrix does not count; where there is nothing else, the mean is NaN.
    """
    starts = np.arange(0, len(matrix), step)
    sizes = np.diff(starts, append=len(matrix))
    values = matrix.copy()
    np.fill_diagonal(values, 0.0)
    sums = np.add.reduceat(np.add.reduceat(values, starts, axis=0), starts, axis=1)
    counts = np.outer(sizes, sizes) - np.diag(sizes)
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
