"""What the runtimes' codes and phrases mean, and what to do about each, in one place.

`explained(message)` appends one sentence to a message in which a known one is found; codes are
those of executorch/runtime/core/error.h. `told` adds what else is known of a refusal.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """pattern: what a runtime writes. meaning: what it says, and what to do."""

    pattern: re.Pattern[str]
    meaning: str


# Code → name, meaning and cure.
EXECUTORCH: dict[int, tuple[str, str]] = {
    0x01: ("Internal", "a kernel or the delegate failed inside; the lines above it say which"),
    0x02: ("InvalidState", "a call came out of turn, such as running before loading"),
    0x03: ("EndOfMethod", "the method has no more steps; reset it before stepping on"),
    0x04: ("AlreadyLoaded", "it was loaded before; load it once"),
    0x10: ("NotSupported", "the runtime cannot do this here; a newer one may"),
    0x11: ("NotImplemented", "this runtime was built without it; a newer one may have it"),
    0x12: (
        "InvalidArgument",
        "an input's shape or type, or an operator's argument, is not what the file was exported "
        "for; `edgevit show` lists the inputs",
    ),
    0x13: ("InvalidType", "an input's type is not the exported one; `edgevit show` lists them"),
    0x14: (
        "OperatorMissing",
        "the app's runtime was built without a kernel that runs outside the delegate; `edgevit "
        "explain` lists those, link them or convert so that none is left",
    ),
    0x15: ("RegistrationExceedingMaxKernels", "too many kernels are linked; raise the limit"),
    0x16: ("RegistrationAlreadyRegistered", "a kernel library is linked twice; link it once"),
    0x20: (
        "NotFound",
        "a method, backend or named data is missing; is the XNNPACK backend linked, with "
        "--whole-archive, into the app?",
    ),
    0x21: ("MemoryAllocationFailed", "too little memory for the plan of tensors"),
    0x22: ("AccessFailed", "the file could not be read; check its path and rights"),
    0x23: (
        "InvalidProgram",
        "the file is damaged, cut short, or of another version of ExecuTorch; convert it again",
    ),
    0x24: ("InvalidExternalData", "the weights file beside the program does not fit it"),
    0x25: ("OutOfResources", "memory or handles ran out"),
    0x30: (
        "DelegateInvalidCompatibility",
        "the delegate is older than the file or its graph is damaged; convert with the version "
        "that the app runs",
    ),
    0x31: ("DelegateMemoryAllocationFailed", "the delegate had too little memory"),
    0x32: ("DelegateInvalidHandle", "the delegate was used after it was freed"),
}

PHRASES: tuple[Refusal, ...] = tuple(
    Refusal(re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (
            r"failed to create \S+ node",
            "XNNPACK refuses an operator that the partitioner accepted, because of a shape, a pad "
            "or quantization that it does not know; leave that operator in float or rewrite it",
        ),
        (
            r"failed to define tensor",
            "XNNPACK refuses a tensor, most often because it has more than 6 axes; write the "
            "operators around it in another layout",
        ),
        (
            r"propagating input shapes failed",
            "XNNPACK finds shapes that do not fit one another inside a partition; it is the "
            "converter's defect, write the operator in another layout",
        ),
        (
            r"xnn_status_invalid_parameter",
            "an operator's shape, padding or type is outside what XNNPACK accepts; often a tensor "
            "of more than 6 axes",
        ),
        (
            r"xnn_status_unsupported_parameter",
            "XNNPACK has the operator, but not with this value; rewrite it or keep it outside",
        ),
        (
            r"xnn_status_unsupported_hardware",
            "this processor lacks the instructions; fp16 needs them, fp32 does not",
        ),
        (r"xnn_status_out_of_memory", "XNNPACK had too little memory for its packed weights"),
        (r"xnn_status_uninitialized", "XNNPACK was used before it was set up"),
        (
            r"error in declaring network",
            "Core ML could not set up the graph on the device: an operator with shapes it does not "
            "allow, or weights above 2 GB; predict on the CPU alone tells which",
        ),
        (
            r"failed to build the model execution plan",
            "Core ML compiled the file but refuses an operator in it on this device; a lower or "
            "higher --ios, or fp32 instead of fp16, may avoid it",
        ),
        (
            r"failed to (?:prepare|apply)",
            "LiteRT's delegate claimed an operator and refused it on loading, most often a tensor "
            "of more than 6 axes; write the operator in another layout",
        ),
        (
            r"(?:unresolved|encountered) (?:custom )?op|select tf ops|regular tensorflow ops",
            "the file holds operators that the runtime on the device has no kernels for; rewrite "
            "them, or link the library that has them",
        ),
        (
            r"could not find an implementation for|NOT_IMPLEMENTED",
            "ONNX Runtime has no kernel for an operator with this type; convert as fp32",
        ),
        (
            r"INVALID_PROTOBUF|protobuf parsing failed",
            "the file is damaged or no .onnx; convert it again",
        ),
    )
)

# "error 0x12", "status 0x12", "code: 18" are ExecuTorch's; a bare number is nobody's.
_CODE = re.compile(r"\b(?:error|status|code)\b[:=\s]*(?:code[:=\s]*)?0x([0-9a-f]{1,2})\b", re.I)
_NAME = re.compile(r"\bError::(\w+)")


# Of what ExecuTorch logs, the line that tells why; lines that follow only pass the error on.
_DECISIVE = re.compile(
    r"^\[\w+\.(?:cpp|h):\d+\] (.*(?:Check failed|Failed to (?:create|define)|Missing operator"
    r"|failed with code|failed at instruction|Attempted to resize a static tensor).*)$",
    re.MULTILINE,
)


def told(message: str, *, where: str | None, words: str = "") -> str:
    """A refusal's message, led by what was refused and the runtime's decisive line, explained.

    where: see `culprit.trace`. words: what the runtime wrote before it failed.
    """
    line = _DECISIVE.search(words)
    because = f"{line[1].strip().rstrip(':')}; {message}" if line else message
    return explained(f"{where}: {because}" if where else because)


def explained(message: str) -> str:
    """The message, and one sentence on what it means and what to do, where that is known."""
    meaning = _meaning(message)
    if meaning is None or meaning in message:
        return message
    return f"{message.rstrip().rstrip('.')}. It means: {meaning}."


def _meaning(message: str) -> str | None:
    for refusal in PHRASES:  # more telling than the code that comes with it
        if refusal.pattern.search(message):
            return refusal.meaning
    code = _CODE.search(message)
    if code and (entry := EXECUTORCH.get(int(code[1], 16))):
        return f"{entry[0]}, {entry[1]}"
    named = _NAME.search(message)
    return next((f"{n}, {m}" for n, m in EXECUTORCH.values() if named and n == named[1]), None)
