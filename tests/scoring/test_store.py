"""Those who are enrolled: in memory, and in a file that several processes use."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat

import numpy as np
import pytest

from svmixer.audio.quality import Quality
from svmixer.scoring.sqlite_store import EnrolmentStore, default_store
from svmixer.scoring.store import Enrolled, MemoryStore, StoreError

SIZE = 8
GOOD = Quality(seconds=3.25, range_db=40.0, band_db=-20.0, clipped=0.001, steady=True)


def recording(seed: int, quality: Quality | None = GOOD) -> Enrolled:
    vector = np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
    return Enrolled(vector, f"{seed}.wav", quality)


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else file_store(tmp_path / "a/b/s.db")


def file_store(path, fingerprint: str = "f" * 64, size: int = SIZE) -> EnrolmentStore:
    return EnrolmentStore(path, fingerprint, "tiny", size)


def test_what_is_enrolled_is_found_again(store):
    assert store.speakers() == {}
    assert store.add("bob", [recording(1), recording(2, None)]) == 2
    assert store.add("ann", [recording(3)]) == 1
    assert list(store.speakers()) == ["ann", "bob"]
    first, second = store.speaker("bob")
    np.testing.assert_array_equal(first.embedding, recording(1).embedding)
    assert first.quality == GOOD and second.quality is None
    assert (first.source, second.source) == ("1.wav", "2.wav")
    assert first.enrolled.endswith("+00:00") and len(first.enrolled) == 25


def test_a_recording_counts_once(store):
    store.add("ann", [recording(1)])
    assert store.add("ann", [recording(1), recording(2)]) == 1
    assert store.add("bob", [recording(1)]) == 1
    assert [one.source for one in store.speaker("ann")] == ["1.wav", "2.wav"]


def test_who_else_is_enrolled_with_it(store):
    assert store.others_with("ann", [recording(1).embedding]) == []
    store.add("cem", [recording(1)])
    store.add("bob", [recording(2), recording(1)])
    store.add("ann", [recording(3), recording(1)])
    assert store.others_with("ann", [one.embedding for one in (recording(1), recording(2))]) == ["bob", "cem"]
    assert store.others_with("bob", [recording(2).embedding]) == []
    assert store.others_with("dan", [recording(4).embedding]) == []


def test_sources_in_another_encoding(store):
    odd = Enrolled(recording(1).embedding, "caf\udce9.wav", GOOD)
    store.add("ann", [odd])
    assert store.speaker("ann")[0].source in ("caf\\xe9.wav", "caf\udce9.wav")


def test_names(store):
    # Letter and accent, and the letter that has it: two ways to write one name.
    store.add("Zoe\u0301", [recording(1)])
    assert list(store.speakers()) == ["Zo\u00e9"] and len(store.speaker("Zoe\u0301")) == 1
    for name in ("", " ann", "a\nb", "x" * 201, "a\tb"):
        with pytest.raises(StoreError, match="1 to 200 printable characters"):
            store.add(name, [recording(1)])
    with pytest.raises(StoreError, match="nobody is enrolled as 'Zoo'; did you mean"):
        store.speaker("Zoo")
    store.delete("Zoe\u0301")
    with pytest.raises(StoreError, match="nobody is enrolled: svmixer enrol"):
        store.delete("Zoe\u0301")


def test_the_owner_alone_can_read(tmp_path):
    old = os.umask(0)
    try:
        file_store(tmp_path / "s.db").add("ann", [recording(1)])
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "s.db").stat().st_mode) == 0o600


def test_what_is_deleted_is_gone_from_the_file(tmp_path):
    path = tmp_path / "s.db"
    # Of the size of a real one: it lies in pages of its own.
    big = file_store(path, size=1500)
    vectors = np.random.default_rng(0).standard_normal((2, 1500)).astype("<f4")
    for name, vector in zip(("ann", "bob"), vectors, strict=True):
        big.add(name, [Enrolled(vector, f"{name}-secret.wav", GOOD)])
    pieces = [vectors[0].tobytes()[at : at + 64] for at in range(0, 6000, 500)]
    assert all(piece in path.read_bytes() for piece in pieces[:3])
    assert big.delete("ann") == 1
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(piece in left for piece in pieces) and b"ann-secret" not in left
    assert b"bob-secret" in left and list(big.speakers()) == ["bob"]


def test_models_do_not_mix(tmp_path):
    path = tmp_path / "s.db"
    file_store(path).add("ann", [recording(1)])
    with pytest.raises(StoreError, match=r"s.db: enrolled with the model tiny \(ffffffffffff\), not with"):
        file_store(path, "e" * 64)
    with pytest.raises(StoreError, match=r"an embedding of shape \(8,\), tiny has \(9,\)"):
        file_store(tmp_path / "t.db", size=9).add("ann", [recording(1)])
    assert not (tmp_path / "t.db").exists()


def test_a_store_of_any_model(tmp_path):
    path = tmp_path / "s.db"
    with pytest.raises(StoreError, match="no such file: nobody is enrolled"):
        EnrolmentStore.of_any_model(path)
    path.touch()
    with pytest.raises(StoreError, match="nobody is enrolled"):
        EnrolmentStore.of_any_model(path)
    file_store(path).add("ann", [recording(1)])
    found = EnrolmentStore.of_any_model(path)
    assert (found.model, found.fingerprint, found.size) == ("tiny", "f" * 64, SIZE)
    assert found.delete("ann") == 1


def test_files_that_are_no_store(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough for a header of a hundred bytes " * 3)
    with pytest.raises(StoreError, match=r"text: no enrolment store, or damaged"):
        file_store(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE model (x)")
    database.close()
    with pytest.raises(StoreError, match=r"other: no enrolment store of svmixer"):
        file_store(tmp_path / "other")
    file_store(tmp_path / "new").add("ann", [recording(1)])
    with sqlite3.connect(tmp_path / "new") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StoreError, match=r"new: of version 9, this svmixer reads 1"):
        file_store(tmp_path / "new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"folder: cannot be used"):
        file_store(tmp_path / "folder")


def test_a_process_that_was_killed_before_it_wrote(tmp_path):
    path = tmp_path / "s.db"
    path.touch()
    store = file_store(path)
    assert store.speakers() == {} and store.add("ann", [recording(1)]) == 1


def enrol_many(path, first: int) -> None:
    store = file_store(path)
    for number in range(first, first + 20):
        store.add(f"speaker {number % 5}", [recording(number)])


def test_several_processes_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "s.db"
    workers = [context.Process(target=enrol_many, args=(path, first)) for first in (0, 100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    found = file_store(path).speakers()
    assert {name: len(enrolled) for name, enrolled in found.items()} == {f"speaker {n}": 12 for n in range(5)}


def test_where_it_lies(monkeypatch):
    monkeypatch.setenv("SVMIXER_STORE", "/x/y.db")
    assert str(default_store()) == "/x/y.db"
    monkeypatch.delenv("SVMIXER_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert str(default_store()) == "/data/svmixer/speakers.db"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(default_store()) == "/home/me/.local/share/svmixer/speakers.db"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE recordings SET embedding = x'00'",
        "UPDATE recordings SET embedding = 'text'",
        "UPDATE recordings SET seconds = 'abc'",
        "UPDATE recordings SET embedding = zeroblob(32)",
        "DELETE FROM model",
    ],
)
def test_damage_is_named(tmp_path, damage):
    store = file_store(tmp_path / "s.db")
    store.add("ann", [recording(1)])
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute(damage)
    database.close()
    with pytest.raises(StoreError, match=r"s\.db: damaged"):
        store.speakers()


def test_an_emptied_store_takes_another_model(tmp_path):
    store = file_store(tmp_path / "s.db")
    store.add("ann", [recording(1)])
    with pytest.raises(StoreError, match="take --model tiny"):
        file_store(tmp_path / "s.db", "e" * 64)
    store.delete("ann")
    other = file_store(tmp_path / "s.db", "e" * 64)
    assert other.speakers() == {}
    other.add("bob", [recording(2)])
    assert list(other.speakers()) == ["bob"]
    with pytest.raises(StoreError, match="enrolled with the model"):
        store.speakers()
