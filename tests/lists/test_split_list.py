"""Splitting a list over jobs."""

from __future__ import annotations

import pytest

from svmixer.lists import ListError, split_list


@pytest.mark.parametrize(("lines", "jobs", "sizes"), [(7, 3, [2, 2, 3]), (4, 4, [1] * 4), (5, 1, [5])])
def test_sizes_and_order(write, tmp_path, lines, jobs, sizes):
    content = b"".join(b"utt%d x\xff y\r\n" % i for i in range(lines))
    parts = split_list(write("wav.scp", content), jobs, f"{tmp_path}/JOB8/JOB/wav.JOB.scp")
    assert parts == [tmp_path / f"JOB8/JOB/wav.{job}.scp" for job in range(1, jobs + 1)]
    assert [len(part.read_bytes().splitlines()) for part in parts] == sizes
    assert b"".join(part.read_bytes() for part in parts) == content


def test_more_jobs_than_lines(write, tmp_path):
    path = write("wav.scp", "a x\nb y\n")
    with pytest.raises(ListError, match=r"wav.scp: 2 lines cannot be split over 3 jobs; repair with: --nj 2"):
        split_list(path, 3, f"{tmp_path}/wav.JOB.scp")
    assert list(tmp_path.iterdir()) == [path]


def test_unusable_arguments(write, tmp_path):
    path = write("wav.scp", "a x\n")
    for jobs, output in ((0, "x.JOB"), (1, "x"), (1, "JOB/x")):
        with pytest.raises(ValueError, match="JOB"):
            split_list(path, jobs, output)
    with pytest.raises(ListError, match="No such file"):
        split_list(tmp_path / "absent", 1, f"{tmp_path}/x.JOB")
