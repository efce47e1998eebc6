"""Who is enrolled: svmixer speakers [--delete NAME] [--export FILE.npz]

Lists the speakers of a store that `svmixer enrol` made: name, recordings, seconds of speech, time of the last
enrolment. --delete forgets one of them for good. --export writes everybody's mean embedding into a file,
which `svmixer verify` and other programs read.

    svmixer speakers --json
    svmixer speakers --delete ann

Embeddings are personal data: they tell a person's voice from others. Keep the file, its copies and its
backups as you keep recordings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from svmixer.config import parse_args


@dataclass(frozen=True)
class SpeakersConfig:
    """Options of ``svmixer speakers``."""

    # File with those who are enrolled; without it the one of the user, $SVMIXER_STORE or
    # ~/.local/share/svmixer/speakers.db.
    store: str = ""
    # Speaker who is forgotten.
    delete: str = ""
    # File (.npz) for one embedding a speaker, under their names.
    export: str = ""
    # true: print a JSON object.
    json: bool = False

    def __post_init__(self) -> None:
        if self.export and not self.export.endswith(".npz"):
            raise ValueError(f"export: '{self.export}' does not end with .npz")


def main(argv: list[str] | None = None) -> None:
    """List, delete or export; a store that cannot be read ends with one line and status 1."""
    config = parse_args(SpeakersConfig, argv, __doc__)
    from svmixer.scoring.sides import side_of
    from svmixer.scoring.sqlite_store import EnrolmentStore, default_store

    store = EnrolmentStore.of_any_model(config.store or default_store())
    if config.delete:
        count = store.delete(config.delete)
        done = {"deleted": config.delete, "recordings": count}
        print(json.dumps(done) if config.json else f"{config.delete}: {count} recordings forgotten")
        return
    speakers = store.speakers()
    if config.export:
        from svmixer.scoring.interchange import write_npz

        vectors = ((name, side_of(enrolled).embedding) for name, enrolled in speakers.items())
        write_npz(config.export, vectors, private=True)
        return
    rows = [
        {
            "name": name,
            "recordings": len(enrolled),
            # Of embeddings from files nobody knows.
            "speech": round(sum(one.quality.seconds for one in enrolled if one.quality), 1)
            if any(one.quality for one in enrolled)
            else None,
            "enrolled": max(one.enrolled for one in enrolled),
            "sources": [one.source for one in enrolled],
        }
        for name, enrolled in speakers.items()
    ]
    if config.json:
        about = {"store": str(store.path), "model": store.model, "fingerprint": store.fingerprint}
        print(json.dumps({**about, "speakers": rows}, ensure_ascii=False))
        return
    print(f"{store.path}: {len(rows)} enrolled with the model {store.model}")
    for row in rows:
        speech = "speech unknown" if row["speech"] is None else f"{row['speech']} s of speech"
        print(f"{row['name']}: {row['recordings']} recordings, {speech}, {row['enrolled']}")
