"""Embeddings from one form into another: names, order and values stay, and kaldiio agrees."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from svmixer.cli.main import main
from svmixer.scoring.interchange import read_named, write_archive, write_named

NAMES = ["b-2", "a-1", "c/3"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def vectors(size: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(size).astype(np.float32) for name in NAMES}


def same(found: dict[str, np.ndarray], names: list[str] = NAMES) -> None:
    assert list(found) == names
    for name, vector in vectors().items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], vector)


def refusal(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["convert_embeddings", *words])
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_through_every_form_and_back(here):
    np.savez("start.npz", **vectors())
    # Every form once read and once written.
    way = ["start.npz", "one.ark", "two.txt", "three.npz", "four.txt", "five.ark", "folder", "six.npz"]
    for source, target in pairwise(way):
        main(["convert_embeddings", source, target])
        # A folder has no order but that of its names.
        same(dict(read_named(target)), sorted(NAMES) if target in ("folder", "six.npz") else NAMES)
    assert sorted(str(path) for path in (here / "folder").rglob("*.npy")) == [
        f"{here}/folder/{name}.npy" for name in sorted(NAMES)
    ]


def test_kaldiio_reads_what_is_written(here):
    write_named("out/xvector.scp", vectors().items())
    listed = Path("out/xvector.scp").read_text().splitlines()
    assert [line.split()[0] for line in listed] == sorted(NAMES)
    same(dict(kaldiio.load_ark("out/xvector.ark")))
    same(dict(kaldiio.load_scp("out/xvector.scp")), sorted(NAMES))
    write_named("text.txt", vectors().items())
    same({name: value.astype(np.float32) for name, value in kaldiio.load_ark("text.txt")})


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_kaldiio_writes_is_read(here, kind, text):
    arrays = {name: vector.astype(kind) for name, vector in vectors().items()}
    kaldiio.save_ark("k.ark", arrays, scp="k.scp", text=text)
    found = dict(read_named("k.ark"))
    assert list(found) == NAMES
    for name, vector in vectors().items():
        np.testing.assert_allclose(found[name], vector, rtol=1e-6)
    if not text:
        same(dict(read_named("k.scp")))


def test_batches_of_one_and_half_precision(here):
    np.savez("batched.npz", a=np.ones((1, 1, 4)), b=np.full((4, 1), 0.5, np.float16))
    found = dict(read_named("batched.npz"))
    assert {name: vector.tolist() for name, vector in found.items()} == {"a": [1.0] * 4, "b": [0.5] * 4}


def test_rows_get_their_names_from_a_list(here, capsys):
    np.save("rows.npy", np.stack(list(vectors().values())))
    (here / "names").write_text("".join(f"{name}\n" for name in NAMES))
    main(["convert_embeddings", "rows.npy", "named.npz", "--names", "names"])
    same(dict(read_named("named.npz")))
    assert "rows.npy: 3 rows without names; give a list" in refusal(capsys, "rows.npy", "x.npz")
    (here / "names").write_text("one\n")
    message = refusal(capsys, "rows.npy", "x.npz", "--names", "names")
    assert "names: 1 names, but rows.npy has 3 rows" in message
    np.save("anna.npy", np.ones(3, np.float32))
    assert [name for name, _ in read_named("anna.npy")] == ["anna"]


def test_names_that_a_form_cannot_have(here, capsys):
    np.savez("spaces.npz", **{"two words": np.ones(3), "../up": np.ones(3)})
    for target in ("x.ark", "x.scp", "x.txt"):
        assert f"{target.replace('scp', 'ark')}: 'two words' cannot be a key" in refusal(
            capsys, "spaces.npz", target
        )
    assert "folder: '../up' cannot be the name of a file below it" in refusal(capsys, "spaces.npz", "folder")
    assert sorted(path.name for path in here.iterdir()) == ["spaces.npz"]


def test_what_cannot_be_read(here, capsys):
    row = b"\0BFV \4" + struct.pack("<i", 2) + np.ones(2, "<f4").tobytes()
    (here / "twice.ark").write_bytes(b"a " + row + b"b " + row + b"a " + row)
    (here / "twice.txt").write_text("a  [ 1 2 ]\na  [ 1 2 ]\n")
    (here / "cut.ark").write_bytes(b"a " + row + b"b " + row[:-1])
    (here / "middle.ark").write_bytes(b"a " + row + b"b")
    (here / "matrix.ark").write_bytes(b"a \0BFM \4" + b"\0" * 20)
    (here / "words.txt").write_text("a  [ 1 2 ]\nb  [ 1 two ]\n")
    (here / "sizes.txt").write_text("a  [ 1 2 ]\nb  [ 1 ]\n")
    (here / "nan.txt").write_text("a  [ 1 nan ]\n")
    (here / "twice.scp").write_text("a twice.ark:2\nb twice.ark:22\na twice.ark:42\n")
    (here / "pipe.scp").write_text("a gunzip -c x.gz |\n")
    (here / "packed.txt").write_bytes(b"\x1f\x8b\x08\0")
    (here / "other.npz").write_bytes(b"no archive")
    (here / "empty.ark").write_bytes(b"")
    np.savez("matrix.npz", a=np.ones((2, 3)))
    np.savez("whole.npz", a=np.arange(3))
    np.savez("objects.npz", a=np.array([{}]))
    (here / "folder").mkdir()
    expected = {
        "twice.ark": "twice.ark: entry 3: 'a' is there twice",
        "twice.txt": "twice.txt: entry 2: 'a' is there twice",
        "twice.scp": "twice.scp:3: utterance a: id is listed twice",
        "cut.ark": "cut.ark: 'b': truncated: 8 bytes are promised, 7 are there",
        "middle.ark": "middle.ark: no name and vector before byte",
        "matrix.ark": "matrix.ark: 'a': no vector of floats",
        "words.txt": "words.txt: line 2, 'b': expected [ number",
        "sizes.txt": "sizes.txt: entry 2, 'b': not a finite vector of 2 numbers",
        "nan.txt": "nan.txt: entry 1, 'a': not a finite vector",
        "pipe.scp": "utterance a: expected ark:offset",
        "packed.txt": "compressed with gzip",
        "other.npz": "other.npz: no array of numbers can be read",
        "matrix.npz": "entry 1, 'a': not a vector of floats, its shape is (2, 3)",
        "whole.npz": "entry 1, 'a': not a vector of floats",
        "objects.npz": "objects.npz: no array of numbers can be read",
        "empty.ark": "empty.ark: no embeddings in it",
        "folder": "folder: no embeddings in it",
        "list.ark.gz": "list.ark.gz: no folder, and ends with none of .scp, .ark",
        "none.npz": "none.npz",
    }
    for name, message in expected.items():
        error = refusal(capsys, name, "out.npz")
        assert message in error and "pickle" not in error, (name, error)
    assert not (here / "out.npz").exists()


def test_what_is_there_is_not_mixed_with_other_embeddings(here, capsys):
    np.savez("a.npz", **vectors())
    (here / "folder").mkdir()
    (here / "folder/old.npy").write_bytes(b"")
    assert "folder: there is something already" in refusal(capsys, "a.npz", "folder")
    assert "x.csv: ends with none of .scp, .ark" in refusal(capsys, "a.npz", "x.csv")
    with pytest.raises(SystemExit) as stop:
        main(["convert_embeddings", "a.npz"])
    assert stop.value.code == 2


def test_an_archive_is_replaced_by_itself(here):
    write_named("a.ark", vectors().items())
    main(["convert_embeddings", "a.scp", "a.ark"])
    same(dict(read_named("a.scp")), sorted(NAMES))


def test_an_archive_never_has_the_list_of_another(tmp_path, monkeypatch):
    """If the list cannot be written any more, there is none: an old one would give others' embeddings."""
    first = {name: np.full(4, number, np.float32) for number, name in enumerate("abc", 1)}
    write_archive(tmp_path / "x.ark", first.items())
    monkeypatch.setattr("svmixer.scoring.interchange.write_table", lambda *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):
        write_archive(tmp_path / "x.ark", reversed(first.items()))
    assert not (tmp_path / "x.scp").exists()
