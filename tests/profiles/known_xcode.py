"""A performance report by hand, laid out as Xcode lays one out."""

import numpy as np

DEVICES = ("neuralEngine", "gpu", "cpu")


def operation(kind, name, *, on=None, could=DEVICES, cost=0.0, blocks=()):
    """on: the device chosen for it; None for a constant, of which nothing is chosen."""
    made = {
        "operatorName": kind,
        "inputs": {},
        "outputs": [{"name": name, "type": {}}],
        "blocks": list(blocks),
    }
    if on is None:
        return made
    usage = {
        "preferred": {"deviceType": {on: {}}},
        "supported": [{"deviceType": {device: {}}} for device in could],
        "allSupportStates": [],
    }
    return made | {"deviceUsage": usage, "cost": {"weight": cost}}


def report(**changes):
    """120 predictions in three rounds around 2 ms, the first one cold."""
    rng = np.random.default_rng(0)
    samples = (0.002 + 1e-5 * rng.standard_normal(120)).tolist()
    samples[0] = 0.009
    inner = {"operations": [operation("ios17.add", "sum", on="cpu", could=["cpu"], cost=0.1)]}
    operations = [
        operation("const", "w"),
        operation("ios17.conv", "y", on="neuralEngine", cost=0.6),
        operation("ios17.conv", "z", on="neuralEngine", cost=0.2),
        operation("ios16.cond", "c", on="cpu", could=["cpu", "gpu"], cost=0.1, blocks=[inner]),
    ]
    function = {"inputs": [], "block": {"operations": operations, "outputNames": ["c"]}}
    return {
        "jsonVersion": 1,
        "deviceResultVersion": 4,
        "computeUnit": 2,
        "deviceInfo": {
            "modelName": "iPhone 15 Pro",
            "displayName": "Ada's phone",
            "serialNumber": "F00SERIAL",
            "deviceID": "00008130-FEED",
            "osNameAndVersionWithoutBuildNumber": "iOS 18.1",
            "deviceType": {"iPhone": {}},
        },
        "modelMetadata": {"fileName": "net", "size": 123, "modelUrl": "file:///Users/ada/net"},
        "deviceResults": {
            "perfRunConfig": {"loadCount": 3, "experimentIterations": 3, "predictionCount": 40},
            "modelStructure": {"program": {"_0": {"functions": {"main": function}}}},
            "availableComputeDevices": [{"deviceType": {device: {}}} for device in DEVICES],
            "predict": {"startTime": 803778910.5, "numOperations": 40, "samples": samples},
            "load": {"startTime": 0, "numOperations": 3, "samples": [0.3, 0.02, 0.019]},
            "compile": {"startTime": 0, "numOperations": 3, "samples": [0.07, 0.08, 0.075]},
        },
        **changes,
    }
