"""What may change between a training and its continuation."""

import dataclasses
from dataclasses import dataclass, field

import pytest
import yaml

from svmixer import config as configuration
from svmixer.audio.augment import AugmentConfig, SourceConfig
from svmixer.distributed.config import DeviceConfig
from svmixer.training.config import LoopConfig, TrainConfig
from svmixer.training.run import changes, check_options
from svmixer.yaml_files import read_yaml


@dataclass(frozen=True)
class Options:
    """A training's configuration with two of its sections."""

    output_dir: str = "exp"  # free
    width: int = 4  # matters
    name: str = "a"  # matters
    # matters
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    # partly free
    loop: LoopConfig = field(default_factory=LoopConfig)
    # free but for the number of processes
    device: DeviceConfig = field(default_factory=DeviceConfig)


@pytest.fixture
def folder(tmp_path):
    """A directory in which a training with the default options was begun."""
    configuration.save(Options(), tmp_path / "config.yaml")
    (tmp_path / "last.ckpt").write_bytes(b"")
    return tmp_path


def loop(**values) -> Options:
    return Options(loop=LoopConfig(**values))


def test_free_options_are_no_change(folder):
    free = Options(
        output_dir="elsewhere",
        loop=LoopConfig(log_every=3, save_every=7, workers=0, allow_changes=True),
        device=DeviceConfig(threads=4, node=1, attempt="x", patience=5.0),
    )
    assert changes(folder / "config.yaml", free) == []


def test_every_change_that_matters_is_named_with_both_values(folder):
    config = Options(width=5, name="b", loop=LoopConfig(lr=0.5))
    wanted = ["loop.lr (0.0002 → 0.5)", "name (a → b)", "width (4 → 5)"]
    assert changes(folder / "config.yaml", config) == wanted
    with pytest.raises(
        ValueError, match=r"trained with other options: loop.lr \(0.0002 → 0.5\), name"
    ) as error:
        check_options(config, folder)
    assert "--allow_changes true" in str(error.value) and "--force true" in str(error.value)


def test_told_otherwise_it_is_named_and_allowed(folder):
    config = dataclasses.replace(Options(width=5), loop=LoopConfig(allow_changes=True))
    assert check_options(config, folder) == ["width (4 → 5)"]


def test_without_a_checkpoint_nothing_is_continued(folder):
    (folder / "last.ckpt").unlink()
    assert check_options(Options(width=5), folder) == []


def test_a_key_that_older_code_did_not_have_counts_as_its_default(folder):
    saved = folder / "config.yaml"
    tree = read_yaml(saved)
    del tree["width"], tree["loop"]["accumulate"], tree["device"]["num_nodes"]
    # In a list's items, too.
    tree["augment"]["sources"] = [{"kind": "coloured"}, {"kind": "clip"}]
    saved.write_text(yaml.safe_dump(tree))
    assert changes(saved, Options()) == []
    assert changes(saved, Options(width=5)) == ["width (4 → 5)"]
    assert changes(saved, loop(accumulate=2)) == ["loop.accumulate (1 → 2)"]
    other = Options(augment=AugmentConfig(sources=(SourceConfig("coloured"),)))
    assert changes(saved, other)[0].startswith("augment.sources ([")


def test_a_key_that_is_gone_is_a_change(folder):
    saved = folder / "config.yaml"
    tree = read_yaml(saved)
    tree["loop"]["momentum"], tree["old"] = 0.5, {"a": 1}
    saved.write_text(yaml.safe_dump(tree))
    assert changes(saved, Options()) == [
        "loop.momentum (0.5 → no such option any more)",
        "old ({'a': 1} → no such option any more)",
    ]


def test_a_value_that_cannot_be_read_any_more_is_a_change(folder):
    saved = folder / "config.yaml"
    tree = read_yaml(saved)
    tree["width"] = "wide"
    saved.write_text(yaml.safe_dump(tree))
    assert changes(saved, Options()) == [f"{saved}: width: Expected `int`, got `str`"]


@pytest.mark.parametrize(
    ("batch_size", "device", "changed"),
    [
        (16, DeviceConfig(processes=2), []),
        (8, DeviceConfig(ngpu=2, num_nodes=2), []),
        (4, DeviceConfig(processes=2, num_nodes=4), []),
        (32, DeviceConfig(processes=2), ["loop.batch_size of all processes (32 → 64)"]),
        (16, DeviceConfig(), ["loop.batch_size of all processes (32 → 16)"]),
    ],
)
def test_the_number_of_processes_may_change_if_the_whole_batch_does_not(folder, batch_size, device, changed):
    config = Options(loop=LoopConfig(batch_size=batch_size), device=device)
    assert changes(folder / "config.yaml", config) == changed


def test_sizes_of_the_former_redimnet_are_no_change(tmp_path):
    config = TrainConfig()
    tree = configuration.to_dict(config)
    former = ("bins", "channels", "strides", "blocks", "reduction", "kernels", "attention_channels")
    tree["model"]["backend"]["redimnet"] = dict.fromkeys(former, 1)
    saved = tmp_path / "config.yaml"
    saved.write_text(yaml.safe_dump(tree))
    assert changes(saved, config) == []
