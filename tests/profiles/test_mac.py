"""Core ML on a Mac as a device: what can be shown of it without one."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from known_folder import add

from edgevit import sandbox
from edgevit.cli import cli
from edgevit.converters.coreml import CoreML, import_coremltools
from edgevit.converters.target import find, runner
from edgevit.errors import InputError, NotOnThisSystem, UnknownName
from edgevit.profiles import apple
from edgevit.profiles.devices import device, host, mac
from edgevit.profiles.devices.device import connect, reachable
from edgevit.profiles.variant import Item


@pytest.mark.skipif(mac.ON_A_MAC, reason="this is a Mac")
def test_elsewhere_it_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.delitem(device.KINDS, "adb")  # which starts a server
    with pytest.raises(NotOnThisSystem, match="has to be a Mac"):
        connect("mac")
    assert not [one for one in reachable() if one.name.startswith("mac")]
    net = add(tmp_path, "net.onnx")
    done = CliRunner().invoke(
        cli, ["profile", str(net), "--device", "mac:ane"], standalone_mode=False
    )
    assert isinstance(done.exception, NotOnThisSystem)


def test_units_that_there_are_not():
    with pytest.raises(UnknownName, match="unknown compute units 'anne'; did you mean 'ane'"):
        connect("mac:anne")


def test_the_target_takes_its_units_where_files_are_opened_and_only_there():
    assert (runner("coreml:ane")._units, runner("coreml")._units) == ("CPU_AND_NE", "CPU_ONLY")
    assert isinstance(runner("coreml:gpu"), CoreML)
    assert type(runner("onnx")) is type(find("onnx"))
    with pytest.raises(UnknownName):
        find("coreml:ane")


def test_packages_run_on_the_units_and_others_are_refused(monkeypatch, tmp_path):
    """The plan and the measuring are fakes: there is no Core ML here."""
    measured = []
    monkeypatch.setattr(mac, "ON_A_MAC", True)
    monkeypatch.setattr(sandbox, "run", lambda function, **given: ["Neural Engine"] * 3 + ["CPU"])
    monkeypatch.setattr(
        host.Here, "profile", lambda self, items, **settings: measured.extend(items) or list(items)
    )
    onnx, net = Item(tmp_path / "a.onnx", "onnx"), Item(tmp_path / "b.mlpackage", "coreml")
    refused, run = connect("mac:ane").profile([onnx, net], rounds=1)
    assert isinstance(refused, InputError)
    assert "runs Core ML packages" in str(refused)
    assert measured == [run]
    assert (run.target, run.placement) == ("coreml:ane", "ane: 3 on Neural Engine + 1 on CPU")
    assert [one.name for one in mac.reachable()] == ["mac"]


@pytest.mark.needs("coremltools")
@pytest.mark.skipif(mac.ON_A_MAC, reason="here the compiled part is there")
@pytest.mark.filterwarnings("ignore")
def test_the_compute_plan_is_read_as_coremltools_gives_it(monkeypatch):
    """coremltools' own classes over a fake of its compiled part, which only a Mac has."""
    import_coremltools()
    from coremltools.models import compute_device, compute_plan

    for name in ("_MLCPUComputeDeviceProxy", "_MLNeuralEngineComputeDeviceProxy"):
        monkeypatch.setattr(compute_device, name, SimpleNamespace)
    monkeypatch.setattr(compute_plan, "_MLComputePlanProxy", SimpleNamespace)
    cpu = compute_device.MLCPUComputeDevice(SimpleNamespace())
    engine = compute_device.MLNeuralEngineComputeDevice(SimpleNamespace())
    chosen = {"const": None, "conv": engine, "add": cpu}
    operations = [
        compute_plan.MLModelStructureProgramOperation({}, kind, [], [], None) for kind in chosen
    ]
    block = compute_plan.MLModelStructureProgramBlock([], operations, [])
    main = compute_plan.MLModelStructureProgramFunction([], block)
    program = compute_plan.MLModelStructureProgram({"main": main})

    def usage(operation):
        device = chosen[operation.operator_name]
        return device and compute_plan.MLComputePlanDeviceUsage(device, [cpu, engine])

    proxy = SimpleNamespace(
        model_structure=compute_plan.MLModelStructure(None, program, None),
        get_compute_device_usage_for_mlprogram_operation=usage,
    )
    asked = []

    def get_compute_plan(path, units):
        asked.append((path, units))
        return compute_plan.MLComputePlan(proxy)

    monkeypatch.setattr(
        compute_plan, "_MLModelProxy", SimpleNamespace(get_compute_plan=get_compute_plan)
    )
    assert apple.preferred("net.mlmodelc", "ane") == ["Neural Engine", "CPU"]
    assert asked == [("net.mlmodelc", "CPU_AND_NE")]


def test_devices_lists_none_without_one(monkeypatch):
    monkeypatch.delitem(device.KINDS, "adb")
    said = json.loads(CliRunner().invoke(cli, ["devices", "--json"]).stdout)
    assert ("mac" in [one["name"] for one in said]) == mac.ON_A_MAC
