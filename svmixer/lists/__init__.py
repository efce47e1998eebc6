"""Kaldi lists: tables (wav.scp, utt2spk, …), segments and parts, trials; to read, write, check and repair.

Nothing here imports torch. The lists' meaning is described in docs/own_data.md.
"""

from svmixer.lists.enroll_map import find_enroll_map, read_enroll_map
from svmixer.lists.errors import ListError, fix_command
from svmixer.lists.fix import Dropped, FixReport, fix_data_dir
from svmixer.lists.segments import Piece, read_parts, read_segments, write_parts
from svmixer.lists.source import Source, find_source, parse_source
from svmixer.lists.subset import partition_data_dir, subset_data_dir
from svmixer.lists.table import (
    is_id,
    iter_lines,
    iter_table,
    read_table,
    read_utt2spk,
    spk2utt_from,
    write_spk2utt,
    write_table,
)
from svmixer.lists.trial_sampling import make_trials
from svmixer.lists.trials import Trials, read_trials, utterance_of_path, write_trials
from svmixer.lists.validate import DataDirError, DataDirSize, validate_data_dir

__all__ = [
    "DataDirError",
    "DataDirSize",
    "Dropped",
    "FixReport",
    "ListError",
    "Piece",
    "Source",
    "Trials",
    "find_enroll_map",
    "find_source",
    "fix_command",
    "fix_data_dir",
    "is_id",
    "iter_lines",
    "iter_table",
    "make_trials",
    "parse_source",
    "partition_data_dir",
    "read_enroll_map",
    "read_parts",
    "read_segments",
    "read_table",
    "read_trials",
    "read_utt2spk",
    "spk2utt_from",
    "subset_data_dir",
    "utterance_of_path",
    "validate_data_dir",
    "write_parts",
    "write_spk2utt",
    "write_table",
    "write_trials",
]
