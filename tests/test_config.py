"""Configurations: every key checked, files inside files, overrides, help from the comments."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from svmixer.config import (
    ConfigError,
    field_comments,
    from_dict,
    help_text,
    load,
    nearest,
    parse_args,
    save,
    to_dict,
)
from svmixer.yaml_files import read_yaml


@dataclass(frozen=True)
class Inner:
    """A section."""

    width: int = 4  # how wide
    rates: tuple[float, ...] = (0.9, 1.0)  # several numbers
    pair: tuple[int, int] = (1, 2)  # exactly two
    mode: Literal["low", "high"] = "low"  # one of two

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width: must be at least 1")


@dataclass(frozen=True)
class Awkward:
    """Comments wherever a formatter moves them."""

    long: int = (
        # inside the parentheses
        1
    )
    numbers: tuple[float, ...] = (
        0.9,
        1.0,
    )  # behind the last
    # above
    text: str = "#"  # and behind
    bare: int = 0


@dataclass(frozen=True)
class Outer:
    """Options."""

    name: str  # a required key
    # two lines above
    # the field
    flag: bool = False
    limit: float | None = None  # may be nothing
    inner: Inner = field(default_factory=Inner)  # a section


def test_values_and_defaults():
    config = from_dict(Outer, {"name": "x", "inner": {"rates": [1, 2]}, "flag": "true", "limit": 3})
    assert config == Outer("x", True, 3.0, Inner(4, (1.0, 2.0)))
    assert isinstance(config.limit, float)
    assert from_dict(Outer, {"name": "x", "limit": None}).limit is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x", "flg": True}, "unknown key 'flg'; did you mean 'flag'"),
        ({"name": "x", "inner": {"widht": 3}}, "unknown key 'inner.widht'; did you mean 'width'"),
        ({}, "Object missing required field `name`"),
        ({"name": "x", "flag": "maybe"}, "flag: Expected `bool`, got `str`"),
        ({"name": "x", "inner": {"width": "wide"}}, "inner.width: Expected `int`, got `str`"),
        ({"name": "x", "inner": {"width": 1.5}}, "inner.width: Expected `int`, got `float`"),
        ({"name": "x", "inner": {"width": 0}}, "inner.width: must be at least 1"),
        ({"name": "x", "inner": {"pair": [1]}}, "inner.pair: Expected `array` of length 2, got 1"),
        ({"name": "x", "inner": {"rates": 3}}, "inner.rates: Expected `array`, got `int`"),
        ({"name": "x", "inner": 3}, "inner: Expected `object`, got `int`"),
        ({"name": "x", "inner": None}, "inner: Expected `object`, got `null`"),
        ({"name": "x", "inner": {"mode": "mid"}}, "inner.mode: 'mid' is not one of 'low', 'high'"),
        ({"name": "x", "inner": {"mode": None}}, "inner.mode: Expected `str`, got `null`"),
        ({"name": ["x"]}, "name: Expected `str`, got `array`"),
        ({"name": "x", "limit": True}, "limit: Expected `float | null`, got `bool`"),
    ],
)
def test_errors_name_the_key(data, message):
    with pytest.raises(ConfigError, match="here") as error:
        from_dict(Outer, data, "here")
    assert message in str(error.value)


def test_files_overrides_and_a_section_from_a_file(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/inner.yaml").write_text("width: 7\n")
    (tmp_path / "conf/outer.yaml").write_text("name: a\ninner: conf/inner.yaml\n")
    assert load(Outer, tmp_path / "conf/outer.yaml").inner.width == 7
    config = load(Outer, tmp_path / "conf/outer.yaml", {"inner.pair": "[5, 6]", "name": "b", "limit": "2e-4"})
    assert config == Outer("b", False, 2e-4, Inner(7, (0.9, 1.0), (5, 6)))
    changed = {"inner.pair": "[5, 6]", "inner": str(tmp_path / "conf/inner.yaml")}
    assert load(Outer, None, {"name": "a", **changed}).inner == Inner(7, (0.9, 1.0), (5, 6))
    with pytest.raises(ConfigError, match="no such configuration file: nowhere"):
        load(Outer, tmp_path / "conf/outer.yaml", {"inner": "nowhere.yaml"})


def test_a_file_that_extends_another(tmp_path):
    """Own keys win, section by section; names in a base are looked up from where it lies."""
    for name, text in {
        "lib/inner.yaml": "width: 7\nrates: [0.5, 0.6]\n",
        "lib/first.yaml": "name: first\nflag: true\nlimit: 1\ninner: inner.yaml\n",
        "lib/second.yaml": "base: first.yaml\nlimit: 2\n",
        "own/whole.yaml": "base: ../lib/second.yaml\n",
        "own/part.yaml": "base: ../lib/second.yaml\nname: part\ninner: {rates: [0.7]}\n",
        "own/other.yaml": "base: ../lib/second.yaml\ninner: small.yaml\n",
        "own/small.yaml": "width: 1\n",
        "own/lib/first.yaml": "base: lib/first.yaml\nflag: false\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert load(Outer, tmp_path / "own/whole.yaml") == Outer("first", True, 2.0, Inner(7, (0.5, 0.6)))
    assert load(Outer, tmp_path / "own/part.yaml") == Outer("part", True, 2.0, Inner(7, (0.7,)))
    assert load(Outer, tmp_path / "own/other.yaml") == Outer("first", True, 2.0, Inner(1))
    # The other file of that name, not the one that says so.
    assert load(Outer, tmp_path / "own/lib/first.yaml") == Outer("first", False, 1.0, Inner(7, (0.5, 0.6)))
    changed = load(Outer, tmp_path / "own/whole.yaml", {"inner.width": "9", "name": "x"})
    assert changed == Outer("x", True, 2.0, Inner(9, (0.5, 0.6)))


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("b.yaml", "a.yaml: base: leads back to "),
        ("a.yaml", "a.yaml: no such configuration file: a.yaml"),
        ("none.yaml", "a.yaml: no such configuration file: none.yaml"),
        ("[b.yaml]", "a.yaml: base: expected the name of a YAML file, found ['b.yaml']"),
        ("wrong.yaml", "wrong.yaml: no such configuration file: none.yaml"),
        ("typo.yaml", "unknown key 'nmae'; did you mean 'name'?"),
    ],
)
def test_bases_that_cannot_be_used(tmp_path, base, message):
    (tmp_path / "a.yaml").write_text(f"base: {base}\nname: x\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    (tmp_path / "wrong.yaml").write_text("inner: none.yaml\n")
    (tmp_path / "typo.yaml").write_text("nmae: y\n")
    with pytest.raises(ConfigError) as error:
        load(Outer, tmp_path / "a.yaml")
    assert message in str(error.value)


def test_saved_configurations_read_back(tmp_path):
    config = Outer("x", True, 0.5, Inner(2, (1.5,)))
    save(config, tmp_path / "config.yaml")
    assert load(Outer, tmp_path / "config.yaml") == config
    assert to_dict(config)["inner"]["rates"] == [1.5]


def test_python_tags_in_yaml_are_refused(tmp_path):
    (tmp_path / "bad.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(Outer, tmp_path / "bad.yaml")


def test_command_line(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("name: a\n")
    config = parse_args(Outer, ["--config", str(tmp_path / "c.yaml"), "--inner.width=9", "--flag", "yes"])
    assert config == Outer("a", True, None, Inner(9))
    with pytest.raises(SystemExit) as stop:
        parse_args(Outer, ["--nmae", "a"])
    assert stop.value.code == 2
    assert "did you mean 'name'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_args(Outer, ["--name"])
    assert "needs a value" in capsys.readouterr().err
    # The last word of a line is an option that is misspelt, not one without a value.
    with pytest.raises(SystemExit):
        parse_args(Outer, ["--name", "a", "--flg"])
    assert "unknown key 'flg'; did you mean 'flag'?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_args(Outer, ["--name", "a", "--inner"])
    assert "option --inner needs a value" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "007", "1e3", "yes", "null", "a: b", "[x", "none"])
def test_text_of_the_command_line_stays_as_it_is(text):
    assert parse_args(Outer, ["--name", text]).name == text


def test_other_types_of_the_command_line_are_read_as_yaml(capsys):
    config = parse_args(
        Outer, ["--name", "x", "--inner.rates", "[1,2e0]", "--limit", "null", "--flag", "yes"]
    )
    assert config == Outer("x", True, None, Inner(4, (1.0, 2.0)))
    assert parse_args(Outer, ["--name", "x", "--limit", "2"]).limit == 2.0
    with pytest.raises(SystemExit):
        parse_args(Outer, ["--name", "x", "--inner.rates", "[1"])
    assert "inner.rates: '[1' is not YAML" in capsys.readouterr().err


def test_help_comes_from_the_comments():
    assert field_comments(Outer)["flag"] == "two lines above the field"
    text = help_text(Outer, "What it does.")
    assert "--inner.width" in text and "how wide (default: 4)" in text
    assert "a required key (default: required)" in text


@pytest.mark.parametrize("text", ["1e-4", "0.0001", "1.0e-4"])
def test_numbers_in_any_notation(text):
    assert load(Outer, None, {"name": "x", "limit": text}).limit == 1e-4


def test_comments_behind_any_part_of_a_field():
    assert field_comments(Awkward) == {
        "long": "inside the parentheses",
        "numbers": "behind the last",
        "text": "above and behind",
        "bare": "",
    }


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["--flag"], True),
        (["--flag", "--name", "x"], True),
        (["--flag", "true"], True),
        (["--flag", "false"], False),
        (["--flag=no"], False),
        ([], False),
    ],
)
def test_a_flag_alone_is_true(words, flag):
    assert parse_args(Outer, [*words, "--name", "x"]).flag is flag


@dataclass(frozen=True)
class WithFiles(Outer):
    """Options of a program that takes files."""

    files: tuple[str, ...] = ()  # recordings


@pytest.mark.parametrize(
    ("words", "files", "flag"),
    [
        (["--flag", "a.wav", "b.wav", "--inner.width=3", "c.wav"], ("a.wav", "b.wav", "c.wav"), True),
        (["--flag", "no", "a"], ("a",), False),
        (["a", "--flag"], ("a",), True),
        (["--limit", "-0.5", "007"], ("007",), False),
        (["--", "-a.wav", "--flag"], ("-a.wav", "--flag"), False),
        (["--files", "[a, b]"], ("a", "b"), False),
    ],
)
def test_words_that_are_no_options_are_files(words, files, flag):
    config = parse_args(WithFiles, ["--name", "x", *words])
    assert (config.name, config.files, config.flag) == ("x", files, flag)


@pytest.mark.parametrize("words", [["--flag", "a.wav"], ["a.wav"], ["--", "a.wav"]])
def test_files_are_refused_where_none_are_read(words, capsys):
    with pytest.raises(SystemExit):
        parse_args(Outer, ["--name", "x", *words])
    assert "unexpected argument 'a.wav'" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-inf", "1e999"])
def test_numbers_are_finite(value):
    for data, key in (
        ({"limit": value}, "limit"),
        ({"inner": {"rates": [1.0, value]}}, r"inner\.rates\[1\]"),
        ({"inner": {"width": value}}, r"inner\.width"),
    ):
        with pytest.raises(ConfigError, match=f"{key}: expected a finite number of 64 bits, found"):
            from_dict(Outer, {"name": "x", **data})


def test_numbers_fit_into_64_bits():
    assert from_dict(Inner, {"width": 2**63 - 1}).width == 2**63 - 1
    for value in (2**63, 1e30, "9223372036854775808"):
        with pytest.raises(ConfigError, match="width: expected a finite number of 64 bits, found"):
            from_dict(Inner, {"width": value})


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "c.yaml"
    for text, what in (("name: a".encode("utf-16"), "UTF-16 text"), (b"\x1f\x8b\x08\0\xff", "gzip")):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=what):
            load(Outer, path)


@pytest.mark.parametrize(
    ("name", "found"),
    [("dir", "data_dir"), ("wieght", "weight"), ("VERIFY", "verify"), ("seconds", None), ("help", None)],
)
def test_nearest_names(name, found):
    known = ["data_dir", "weight", "json", "channel", "verify", "package_model"]
    assert nearest(name, known) == (f"did you mean '{found}'?" if found else "known: " + ", ".join(known))


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("loop: {lr: 1}\nname: a\nloop: {steps: 2}\n")
    with pytest.raises(
        ConfigError, match=r"a\.yaml: not valid YAML: key 'loop' stands twice, in lines 1 and 3"
    ):
        read_yaml(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("x: &x {a: 1}\ny: {<<: *x, a: 2}\nz: [*x, *x]\n")
    assert read_yaml(tmp_path / "b.yaml")["y"] == {"a": 2}


def test_files_in_lists_of_a_base_are_found_from_there(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/base.yaml").write_text("phases: [one.yaml, {lr: 2}]\n")
    (tmp_path / "lib/one.yaml").write_text("lr: 1\n")
    (tmp_path / "own.yaml").write_text("base: lib/base.yaml\n")
    assert read_yaml(tmp_path / "own.yaml")["phases"] == [
        str((tmp_path / "lib/one.yaml").resolve()),
        {"lr": 2},
    ]
