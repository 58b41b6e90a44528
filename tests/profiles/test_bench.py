"""The loop against a fake device of known truth and injected noise; then timed code, for real."""

from contextlib import contextmanager, nullcontext
from itertools import repeat

import numpy as np
import pytest
from known_runs import CONTEXT

from edgevit.converters import target as targets
from edgevit.converters.target import Tensor
from edgevit.errors import ChildDied, ChildError, InputError
from edgevit.profiles import timed
from edgevit.profiles.bench import profile
from edgevit.profiles.compare import control, ratio
from edgevit.profiles.peak import Peak
from edgevit.profiles.run import Run
from edgevit.profiles.variant import Item
from edgevit.sandbox import Child

TRUTH_S = {"a.onnx": 0.004, "b.onnx": 0.0032, "slow.onnx": 0.5}


class Machine:
    """A clock that only inferences advance, on a machine that slows down while it runs."""

    def __init__(self, tmp_path, *, dies=None):
        self.now_s, self.dies, self.calls, self.closed = 0.0, dies, [], []
        self.rng = np.random.default_rng(1)
        self.factors = repeat(1.0)  # by which each new process is slower

    def start(self, timeout_s):
        return FakeDevice(self)

    @contextmanager
    def probe(self, threads, cores):
        yield Peak(best=self.peak, now=self.peak, int8=lambda: 4 * self.peak())

    def peak(self):
        return 1e11 / self.slowness()

    def slowness(self):
        return 1 + 0.3 * np.sin(self.now_s / 5)  # far more than the difference to be found


class FakeDevice:
    def __init__(self, machine):
        self.machine, self.file, self.factor = machine, "", next(machine.factors)

    def call(self, function, **arguments):
        m = self.machine
        name = function.partition(":")[2]
        assert callable(getattr(timed, name))  # so that the fake cannot drift from the real one
        if name == "open_artifact":
            self.file = arguments["file"]
            if self.file == "broken.onnx":
                raise ChildError("RuntimeError: bad magic")
            return {
                "load_s": 0.1,
                "first_run_s": 0.02,
                "inputs": [],
                "runtime": "fake",
                "version": "1.0",
            }
        m.calls.append((self.file, arguments["iterations"]))
        if m.dies == (self.file, sum(f == self.file for f, _ in m.calls)):
            raise ChildDied("the process died of SIGSEGV in block")
        noise = 1 + 0.01 * np.abs(m.rng.standard_normal(arguments["iterations"]))
        seconds = TRUTH_S[self.file] * self.factor * m.slowness() * noise
        m.now_s += float(seconds.sum())
        return {
            "seconds": list(seconds),
            "cpu_s": float(seconds.sum()) * 0.98,
            "peak_memory_bytes": 5_000_000,
        }

    def close(self):
        self.machine.closed.append(self.file)


def describe():
    return {
        k: getattr(CONTEXT, k) for k in ("device", "host", "os", "cpu", "family", "flags", "cores")
    }


def run_fake(machine, names, tmp_path, **more):
    items = [Item(tmp_path.__class__(name), "onnx", sha256="ab", macs=10**8) for name in names]
    seams = {"start": machine.start, "probe": machine.probe, "describe": describe}
    return profile(items, **seams | more)


def test_truth_is_found_on_a_machine_that_drifts(tmp_path):
    machine = Machine(tmp_path)
    a, b = run_fake(machine, ["a.onnx", "b.onnx"], tmp_path)
    found = ratio(a, b)
    assert found.low <= 0.004 / 0.0032 <= found.high
    assert found.verdict == "faster"
    assert found.paired
    assert found.high - found.low < 0.05
    assert (a.load_s, a.first_run_s, a.peak_memory_bytes) == (0.1, 0.02, 5_000_000)
    assert a.cores_used == pytest.approx(0.98)
    assert len(a.bracket_macs_per_s) == len(a.bracket_int8_macs_per_s) == 2
    assert control(a).verdict == "indistinguishable"
    assert not b.control_s
    assert (a.context.runtime, a.context.runtime_version, a.context.threads) == ("fake", "1.0", 1)


def test_blocks_last_long_enough_and_orders_are_permuted(tmp_path):
    machine = Machine(tmp_path)
    names = ["a.onnx", "b.onnx", "slow.onnx"]
    a, _, slow = run_fake(machine, names, tmp_path, rounds=10, probe=None, control=False)
    assert min(map(sum, a.rounds_s)) > 0.02 * 0.7  # the machine's speed changes by up to 30 %
    assert all(len(block) == 1 for block in slow.rounds_s)
    assert sum(a.warmups_s) >= 0.5
    files = [file for file, _ in machine.calls[-30:]]
    rounds = [tuple(files[i : i + 3]) for i in range(0, 30, 3)]
    assert all(len(set(order)) == 3 for order in rounds)
    assert len(set(rounds)) >= 4
    assert len(machine.closed) == 3


def test_for_minutes_there_is_no_rest_and_the_state_is_kept_of_each_round(tmp_path):
    machine = Machine(tmp_path)
    (a,) = run_fake(machine, ["a.onnx"], tmp_path, minutes=0.01, control=False)
    assert len(a.rounds_s) > 2  # as many as begin in that time, in one process
    assert machine.closed == ["a.onnx"]
    assert min(map(sum, a.rounds_s)) > 0.5 * 0.7
    seconds = [state["seconds"] for state in a.state]
    assert len(seconds) == len(a.rounds_s) + 1
    assert sorted(seconds)[-1] == seconds[-1] >= 0.6


def test_a_dead_child_leaves_the_others_running(tmp_path):
    machine = Machine(tmp_path, dies=("b.onnx", 9))
    names = ["a.onnx", "b.onnx", "broken.onnx"]
    a, b, broken = run_fake(machine, names, tmp_path, rounds=10, probe=None, control=False)
    assert len(a.rounds_s) == 10
    assert isinstance(b, ChildDied)
    assert str(b).startswith("b.onnx: the process died of SIGSEGV")
    assert isinstance(broken, ChildError)
    assert len(machine.closed) == 3
    assert [f for f, _ in machine.calls].count("b.onnx") == 9


def test_what_differs_between_processes_of_one_file_is_in_the_interval(tmp_path):
    machine = Machine(tmp_path)
    machine.factors = iter(np.exp(0.01 * np.random.default_rng(2).standard_normal(20 * 2 * 3)))
    twice = ["a.onnx"] * 2
    runs = [run_fake(machine, twice, tmp_path, control=False, seed=seed) for seed in range(20)]
    assert sum(ratio(*pair).verdict != "indistinguishable" for pair in runs) <= 1
    assert not list(machine.factors)


def test_a_block_over_which_the_machine_moved_is_marked_taken_again_and_kept(tmp_path):
    machine = Machine(tmp_path)
    rates = iter([1.0, 1.0] + [1.0, 0.9, 0.9, 0.9] + [0.8, 0.7, 0.6] + [0.6] * 99)
    machine.probe = lambda threads, cores: nullcontext(Peak(best=lambda: 1.0, now=rates.__next__))
    (run,) = run_fake(machine, ["a.onnx"], tmp_path, rounds=5, control=False)
    # Round 1 settles when repeated, round 3 in none of its three blocks; the others at once.
    assert (len(run.rounds_s), len(run.repeated_s), run.unsettled) == (5, 1 + 2, (3,))


def test_a_control_that_fails_costs_nothing_else(tmp_path):
    machine = Machine(tmp_path, dies=("a.onnx", 30))
    runs = run_fake(machine, ["a.onnx", "b.onnx"], tmp_path, rounds=30, probe=None)
    assert isinstance(runs[1], Run)


def test_progress_reaches_its_total(tmp_path):
    seen = []
    run_fake(
        Machine(tmp_path), ["a.onnx"], tmp_path, rounds=3, on_progress=lambda *a: seen.append(a)
    )
    assert seen[0] == ("load a.onnx", 0, 3)
    assert seen[-1] == ("measure", 3, 3)


def test_nothing_to_measure():
    with pytest.raises(InputError, match="0 artifacts"):
        profile([])


class Sleeper:
    """A Loaded in the place of a runtime: what `find` gives to `timed` in the next tests."""

    inputs = (Tensor("x", "float32", (1, 3, 4)), Tensor("i", "uint8", (2,)))
    runtime = "numpy"

    def load(self, file, *, threads):
        self.loads = getattr(self, "loads", 0) + 1
        return self

    def __call__(self, x, i):
        assert (x.dtype, x.shape, i.dtype, i.shape) == (np.float32, (1, 3, 4), np.uint8, (2,))
        self.runs = getattr(self, "runs", 0) + 1
        return (x,)


def test_blocks_are_timed_one_by_one(monkeypatch):
    fake = Sleeper()
    monkeypatch.setattr(targets, "find", lambda name: fake)
    opened = timed.open_artifact("onnx", "m.onnx", 1)
    assert (opened["runtime"], opened["version"]) == ("numpy", np.__version__)
    assert opened["inputs"][0] == {"name": "x", "dtype": "float32", "shape": [1, 3, 4]}
    assert (fake.loads, fake.runs) == (2, 1)
    block = timed.block(5)
    assert fake.runs == 1 + 1 + 5  # one untimed at the head of each block
    assert len(block["seconds"]) == 5
    assert min(block["seconds"]) > 0
    assert block["peak_memory_bytes"] >= 0


def test_random_inputs_are_seeded_and_fit_their_types():
    tensors = [Tensor("f", "float16", (4,)), Tensor("b", "bool", (9,)), Tensor("q", "int8", (500,))]
    first, again = timed.random_inputs(tensors), timed.random_inputs(tensors)
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    assert [x.dtype.name for x in first] == ["float16", "bool", "int8"]
    assert first[2].min() < 0 < first[2].max()


def test_a_real_child_end_to_end(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, f32 = onnx.helper, onnx.TensorProto.FLOAT
    weight = helper.make_tensor("w", f32, [64, 64], np.ones(64 * 64, np.float32))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", f32, [64, 64])],
        [helper.make_tensor_value_info("y", f32, [64, 64])],
        [weight],
    )
    opset = [helper.make_opsetid("", 17)]
    file = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    items = [Item(file, "onnx", macs=64**3), Item(tmp_path / "absent.onnx", "onnx")]
    run, absent = profile(items, rounds=3, warmup_s=0.02, block_s=0.005, probe=None)
    assert len(run.rounds_s) == 3
    assert run.context.runtime == "onnxruntime"
    assert run.bracket_macs_per_s == ()
    assert run.cores_used > 0
    assert absent.message.startswith("absent.onnx: ")


def test_a_child_that_dies_can_be_closed():
    child = Child()
    with pytest.raises(ChildDied):
        child.call("os:abort")
    child.close()
