"""The picture of a similarity matrix."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from svmixer.report.heat_map import block_means, plot_matrix


def test_means_of_squares_by_hand():
    matrix = np.arange(25, dtype=np.float32).reshape(5, 5)
    np.testing.assert_array_equal(
        block_means(matrix, 2),
        [
            [(1 + 5) / 2, (2 + 3 + 7 + 8) / 4, (4 + 9) / 2],
            [(10 + 11 + 15 + 16) / 4, (13 + 17) / 2, (14 + 19) / 2],
            [(20 + 21) / 2, (22 + 23) / 2, np.nan],
        ],
    )


def test_without_squares_the_matrix_stays_but_for_its_diagonal():
    matrix = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    found = block_means(matrix, 1)
    apart = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(found[apart], matrix[apart])
    assert np.isnan(found.diagonal()).all() and not np.array_equal(matrix.diagonal(), found.diagonal())


@pytest.mark.parametrize("count", [2, 20, 70])
def test_pictures_of_few_and_of_many(tmp_path, count):
    import struct

    path = tmp_path / "m.png"
    plot_matrix([f"voice {n}" for n in range(count)], np.eye(count, dtype=np.float32), "cosine", path)
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    # 130 dots an inch, of 4 to 16 inches.
    assert height == pytest.approx(130 * min(max(4, 2.5 + 0.3 * count), 16), abs=1)
    assert width == pytest.approx(1.2 * height, abs=2)
