"""Descriptions of devices that are not here: whole, and found by the names that tables give."""

import pytest

from edgevit.errors import InputError, UnknownName
from edgevit.profiles.devices.known import FOLDER, Cluster, known, named, read
from edgevit.profiles.tables import NAMES, load

WHOLE = 'name = "Board"\nsoc = "Chip"\nsource = "its maker"\n'
CPU = "[[cpu]]\ncores = 4\n"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_table_calls_a_device_is_described(name):
    for text in {row["device"] for row in load(name).rows if "device" in row}:
        assert name in named(text).tables


def test_each_file_is_a_device_of_its_own():
    assert len(known()) == len([*FOLDER.glob("*.toml")])
    assert all(device.source and device.soc for device in known().values())
    assert all(c.cores > 0 for device in known().values() for c in device.cpu)
    pixel = named("Pixel 6")
    assert str(pixel.cpu[0]) == "2 × Cortex-X1 2.8 GHz"
    assert pixel.cpu[2] == Cluster(4, "Cortex-A55", 1.8)
    assert named("iPhone 14 Pro, iOS 17").npu == "Neural Engine, 16 cores"


def test_a_device_that_nobody_describes():
    with pytest.raises(UnknownName, match="unknown device 'Pixel 66'; did you mean 'Pixel 6'"):
        named("Pixel 66")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE + 'gpuu = "Mali"', "board.toml: unknown key 'gpuu'; did you mean"),
        ('name = "Board"\nsoc = "Chip"', "board.toml: the key 'source' is missing"),
        (WHOLE + "npu = 3", "board.toml: npu is 3, not text"),
        (WHOLE + 'features = "i8mm"', "board.toml: features is 'i8mm', not a list"),
        (WHOLE + 'features = ["i8m"]', "board.toml: unknown feature 'i8m'; did you mean 'i8mm'"),
        (WHOLE + CPU, "board.toml: cpu: the key 'core' is missing"),
        (WHOLE + CPU + "core = 'A'\nghz = '3'", "cpu: ghz is '3', not a number such as 2.4"),
        (WHOLE + "[[cpu]]\ncores = true\ncore = 'A'", "cores is True, not a whole number"),
        (WHOLE + "cpu = [4]", "board.toml: cpu is 4, not a table"),
        (WHOLE + "npu = ", "board.toml is no TOML: "),
    ],
)
def test_a_file_at_fault_is_refused_in_one_sentence(tmp_path, text, says):
    file = tmp_path / "board.toml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read(file)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
