"""What chance makes of the bytes of a package, and of the fields of its program; little memory."""

import random
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from programs import model, saved, tools

MORE_BYTES = 64 * 2**20
INTEGERS = (0, 1, 2, 3, 7, 64, 2**15, 2**20, 2**31 - 1, -1, -2, -(2**31))


def compressed(folder):
    """Weights that are looked up, scaled, and sparse, in narrow formats."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (8, 8))
    levels = rng.integers(-9, 9, int(mask.sum())).astype(np.int8)

    def narrow(values, kind):
        return values.astype(getattr(tools().types, f"np_{kind}_dtype"))

    def f(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def build(mb, x):
        data, indices = rng.integers(-8, 8, (8, 8)), rng.integers(0, 8, (4, 8))
        bits, values = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=narrow(mask, "uint1"), nonzero_data=levels, scale=f(8, 1)
        )
        weights = [
            mb.constexpr_blockwise_shift_scale(data=narrow(data, "int4"), scale=f(8, 2)),
            mb.constexpr_lut_to_dense(
                indices=narrow(indices, "uint3"), lut=f(2, 1, 8, 2), vector_axis=0
            ),
            mb.constexpr_sparse_to_dense(nonzero_data=values, mask=bits),
        ]
        return [mb.matmul(x=x, y=w) for w in weights]

    return saved(model(build, {"x": f(3, 8)}, ios=18), folder)


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four bits flipped, bytes set, ends cut off, pieces dropped or doubled elsewhere."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, more = rng.randrange(len(found) or 1), rng.randrange(1, 33)
        kind = rng.randrange(10)
        if kind < 4 and found:
            found[at] ^= 1 << rng.randrange(8)
        elif kind < 6 and found:
            found[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 6:
            del found[at:]
        elif kind == 7:
            del found[at : at + more]
        else:
            to = rng.randrange(len(found) or 1)
            found[to:to] = found[at : at + more]
    return bytes(found)


def fields(message):
    """(message, field, index or None) of every number, text and enumeration in it."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type:
                for held in value.values():
                    yield from fields(held)
        elif field.message_type:
            for held in value if field.is_repeated else [value]:
                yield from fields(held)
        else:
            for i in range(len(value)) if field.is_repeated else [None]:
                yield message, field, i


def changed_fields(data: bytes, rng: random.Random) -> bytes:
    """One to three fields of the program: another number, another name that stands in it."""
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    spec.ParseFromString(data)
    found = list(fields(spec.mlProgram))
    names = [v for m, f, _ in found if isinstance(v := getattr(m, f.name), str)]
    for message, field, i in rng.sample(found, rng.choice((1, 1, 2, 3))):
        old = getattr(message, field.name) if i is None else getattr(message, field.name)[i]
        if isinstance(old, bytes):
            new = changed_bytes(old, rng)
        elif isinstance(old, str):
            new = rng.choice([*names, "", old + "\n"])
        else:
            new = type(old)(rng.choice(INTEGERS) if rng.random() < 0.8 else old + 1)
        try:
            if i is None:
                setattr(message, field.name, new)
            else:
                getattr(message, field.name)[i] = new
        except ValueError:  # out of the field's range
            continue
    return spec.SerializeToString()


@contextmanager
def little_memory():
    """Address space of the process, so far as the system has such a limit."""
    if not sys.platform.startswith("linux"):
        yield
        return
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
