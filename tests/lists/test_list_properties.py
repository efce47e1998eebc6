"""Properties that hold for any list: round trips, and what reader, fixer and validator promise each other."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.lists import (
    DataDirError,
    ListError,
    Trials,
    fix_data_dir,
    make_trials,
    read_parts,
    read_table,
    read_trials,
    spk2utt_from,
    validate_data_dir,
    write_parts,
    write_table,
    write_trials,
)

printable = st.characters(min_codepoint=33, max_codepoint=0x3FFF).filter(str.isprintable)
ids = st.text(printable, min_size=1, max_size=8).filter(lambda text: not text.isspace())
values = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), min_size=1, max_size=20)
clean_values = values.map(lambda text: text.strip(" \t")).filter(bool)
tables = st.dictionaries(ids, clean_values, min_size=1, max_size=12)
seconds = st.floats(0, 1e5, allow_nan=False)
pieces = st.tuples(ids, seconds, st.floats(0.001, 1e3)).map(lambda p: (p[0], p[1], p[1] + p[2]))
labels = st.integers(0, 1)


@settings(max_examples=50, deadline=None)
@given(tables)
def test_table_round_trip(table):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        write_table(path, table)
        assert read_table(path) == table
        assert list(read_table(path)) == sorted(table, key=lambda key: key.encode())


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(ids, st.lists(pieces, min_size=1, max_size=4), min_size=1, max_size=6))
def test_parts_round_trip(parts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parts"
        write_parts(path, parts)
        assert read_parts(path) == parts


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(labels, ids, ids), min_size=1, max_size=20))
def test_trials_round_trip(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials"
        write_trials(path, Trials.from_rows(rows))
        # "1 x target" reads as Kaldi's form; nothing else is ambiguous.
        if rows[0][2] not in ("target", "nontarget"):
            assert list(read_trials(path).rows()) == rows


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_read_or_are_refused_with_the_file_named(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wav.scp"
        path.write_bytes(content)
        for read in (read_table, read_trials, read_parts, lambda p: fix_data_dir(p.parent)):
            try:
                read(path)
            except ListError as error:
                assert str(error).startswith(folder)


few_ids = st.sampled_from([f"{speaker}-{i}" for speaker in "abc" for i in range(4)])
untidy = st.lists(
    st.tuples(few_ids, st.sampled_from([" ", "\t", "  "]), st.sampled_from(["\n", "\r\n", " \n", "\n\n"])),
    min_size=1,
    max_size=16,
)


@settings(max_examples=60, deadline=None)
@given(untidy, untidy, st.lists(st.tuples(few_ids, few_ids), max_size=12), st.booleans())
def test_the_validator_takes_what_the_fixer_made_and_the_fixer_leaves_it(scp, speakers, pairs, mark):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = "".join(f"{utt}{blank}/c/{utt}.wav{end}" for utt, blank, end in scp)
        (folder / "wav.scp").write_text("\ufeff" * mark + text, newline="")
        (folder / "utt2spk").write_text("".join(f"{u}{b}{u[0]}{e}" for u, b, e in speakers), newline="")
        (folder / "utt2lang").write_text("".join(f"{u} {u[-1]}\n" for u, _, _ in scp[::2]))
        if pairs:
            text = "".join(f"{int(a[0] == b[0])} {a} {b}\r\n" for a, b in pairs)
            (folder / "trials").write_text(text, newline="")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        common = {utt for utt, _, _ in scp} & {utt for utt, _, _ in speakers}
        usable = [pair for pair in pairs if set(pair) <= common and pair[0] != pair[1]]
        try:
            report = fix_data_dir(folder)
        except ListError:
            strange = {name for pair in pairs for name in pair} - {utt for utt, _, _ in [*scp, *speakers]}
            assert not common or strange or (pairs and not usable)
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
            return
        assert (folder / "utt2lang").exists() == bool({utt for utt, _, _ in scp[::2]} & common)
        size = validate_data_dir(folder, need_speakers=True)
        assert (size.utterances, size.trials) == (len(common), len(usable))
        assert read_table(folder / "wav.scp") == {utt: f"/c/{utt}.wav" for utt in sorted(common)}
        for changed in set(report.changed) & before.keys():
            assert (folder / ".backup" / changed).read_bytes() == before[changed]
        after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        assert fix_data_dir(folder).changed == []
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == after


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_one_change_of_a_sound_directory_is_seen(data):
    """Dropping, repeating or swapping lines of one list makes the validator object."""
    utterances = [f"{speaker}-{i}" for speaker in "abc" for i in range(3)]
    lists = {
        "wav.scp": [f"{utt} /c/{utt}\n" for utt in utterances],
        "utt2spk": [f"{utt} {utt[0]}\n" for utt in utterances],
        "spk2utt": [f"{s} {s}-0 {s}-1 {s}-2\n" for s in "abc"],
    }
    name = data.draw(st.sampled_from(sorted(lists)))
    lines = list(lists[name])
    place = data.draw(st.integers(0, len(lines) - 2))
    kind = data.draw(st.sampled_from(["drop", "repeat", "swap"]))
    if kind == "drop":
        del lines[place]
    elif kind == "repeat":
        lines.insert(place, lines[place])
    else:
        lines[place : place + 2] = lines[place : place + 2][::-1]
    with tempfile.TemporaryDirectory() as folder:
        for other, content in {**lists, name: lines}.items():
            (Path(folder) / other).write_text("".join(content))
        try:
            validate_data_dir(folder)
        except DataDirError as error:
            assert error.problems
        else:
            raise AssertionError(f"{kind} at {place} of {name} passed")


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=2),
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xy"), min_size=6), max_size=2),
    st.integers(2, 6),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_made_trials(counts, attributes, max_utterances, max_targets, max_per_impostor, seed):
    utt2spk = {f"{speaker}-{i}": speaker for speaker, count in counts.items() for i in range(count)}
    if max(counts.values()) < 2:
        return
    trials = make_trials(
        utt2spk,
        attributes=attributes,
        max_utterances=max_utterances,
        max_targets=max_targets,
        max_per_impostor=max_per_impostor,
        seed=seed,
    )
    rows = list(trials.rows())
    pairs = [(enrol, test) for _, enrol, test in rows]
    assert all(enrol < test for enrol, test in pairs)
    assert len(set(pairs)) == len(pairs)
    assert all(label == (utt2spk[enrol] == utt2spk[test]) for label, enrol, test in rows)
    used = {
        speaker: len(own) for speaker, own in spk2utt_from({u: utt2spk[u] for u in trials.utterances}).items()
    }
    assert all(count <= max_utterances for count in used.values())
    targets = {s: sum(bool(label) and utt2spk[e] == s for label, e, _ in rows) for s in counts}
    pool = {speaker: min(count, max_utterances) for speaker, count in counts.items()}
    assert targets == {s: min(n * (n - 1) // 2, max_targets) for s, n in pool.items()}
    impostors = int(np.sum(trials.labels == 0))
    assert impostors <= len(rows) - impostors
    if impostors < len(rows) - impostors:
        # The last speaker with a target pair has asked for all that were missing: it met everybody.
        last = max(speaker for speaker in pool if targets[speaker])
        met = sum(label == 0 and last in (utt2spk[enrol], utt2spk[test]) for label, enrol, test in rows)
        assert met == pool[last] * (sum(pool.values()) - pool[last])
