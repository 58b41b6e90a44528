"""Why an operator stays outside XNNPACK, and which rewrite would cure it, as data.

Read from the delegates' own sources: ExecuTorch 1.4 (backends/xnnpack/partition/config) and LiteRT
2.2 (delegates/xnnpack). Rewrites are named like their rules in converters/rewrites; a test holds
that each exists. Operators are looked up with their overload first ("mul.Scalar"), then without.
"""

from collections.abc import Mapping
from typing import TypeVar

RANK = 6  # XNN_MAX_TENSOR_DIMS

_MASKED = "a comparison against fully masked rows, left by fused attention"
_VIEW = "XNNPACK takes views written as reshape, permute and slice only"
_NOT_LAST = "XNNPACK takes it over the last axis only"
_NO_INDEX = "XNNPACK has nothing that computes or uses indices"

EXECUTORCH: dict[str, str] = {
    "native_layer_norm": "XNNPACK has no LayerNorm",
    "native_group_norm": "XNNPACK has no GroupNorm",
    "native_batch_norm": "XNNPACK takes a batch norm only right after a convolution",
    "_native_batch_norm_legit_no_training": (
        "XNNPACK takes a batch norm only right after a convolution"
    ),
    "expand_copy": "a copy; XNNPACK broadcasts in arithmetic only",
    "repeat": "a copy; XNNPACK broadcasts in arithmetic only",
    "tile": "a copy; XNNPACK broadcasts in arithmetic only",
    "mean": "XNNPACK takes a mean of a map over both height and width only, with keepdim",
    "sum": "XNNPACK has no sum",
    "amax": "XNNPACK has max.dim of maps only",
    "amin": "XNNPACK has no minimum over an axis",
    "max": "XNNPACK takes max.dim of maps only, and only its values",
    "argmax": _NO_INDEX,
    "topk": _NO_INDEX,
    "sort": _NO_INDEX,
    "gather": _NO_INDEX,
    "scatter": _NO_INDEX,
    "index": _NO_INDEX,
    "index_select": _NO_INDEX,
    "embedding": _NO_INDEX,
    "unsqueeze_copy": "XNNPACK takes a new axis only behind the last",
    "squeeze_copy": _VIEW,
    "select_copy": _VIEW,
    "unbind_copy": _VIEW,
    "split_copy": _VIEW,
    "split_with_sizes_copy": _VIEW,
    "alias_copy": "a copy that changes nothing",
    "slice_copy": "XNNPACK takes a slice with step 1 and fixed ends only",
    "_softmax": _NOT_LAST,
    "_log_softmax": "XNNPACK has no log-softmax",
    "cumsum": "XNNPACK has no cumulative sum",
    "where": "XNNPACK has no selection; fused attention leaves one for fully masked rows",
    "eq": _MASKED,
    "any": _MASKED,
    "logical_not": _MASKED,
    "full_like": "a constant made while the model runs, often for masked attention",
    "full": "a constant made while the model runs",
    "scalar_tensor": "a constant made while the model runs",
    "mul.Scalar": "XNNPACK multiplies two tensors, not a tensor and a number",
    "add.Scalar": "XNNPACK adds two tensors, not a tensor and a number",
    "sub.Scalar": "XNNPACK subtracts two tensors, not a tensor and a number",
    "div.Scalar": "XNNPACK divides two tensors, not a tensor and a number",
    "pow": "XNNPACK takes squares only",
    "_to_dim_order_copy": "a change of type, often left by a constant of integers",
    "_clone_dim_order": "a copy to another order of axes in memory",
    "upsample_nearest2d": "XNNPACK resizes bilinearly only",
    "upsample_bicubic2d": "XNNPACK resizes bilinearly only",
    "avg_pool2d": "XNNPACK takes an average pool only with count_include_pad=False",
    "_adaptive_avg_pool2d": "XNNPACK takes a global average only",
    "adaptive_max_pool2d": "XNNPACK has no adaptive max pool",
    "constant_pad_nd": "XNNPACK takes pads that add, not those that cut",
    "mm": "XNNPACK takes a product only with constant weights; this one computes both sides",
    "addmm": "XNNPACK takes a product only with constant weights; this one computes both sides",
    "linear": "XNNPACK takes a product only with constant weights; this one computes both sides",
    "convolution": "XNNPACK takes a convolution only in 1-D and 2-D, with constant weights",
    "reciprocal": "XNNPACK has no reciprocal; it divides",
    "erf": "XNNPACK has no error function",
    "linalg_vector_norm": "XNNPACK has no norm of a vector",
    "cat": "XNNPACK takes parts of one float type only",
}

EXECUTORCH_CURES: dict[str, tuple[str, ...]] = {
    "native_layer_norm": ("layer_norm_by_products", "layer_norm_by_convolutions"),
    "native_group_norm": ("group_norm_by_means", "instance_norm_by_means"),
    "_native_batch_norm_legit_no_training": ("batch_norm_by_affine",),
    "expand_copy": ("expands_removed", "matmul_by_bmm"),
    "repeat": ("repeat_by_cat", "blocks_repeated_by_cat"),
    "mean": ("mean_over_pixels",),
    "sum": ("sum_by_mean",),
    "unsqueeze_copy": ("views_as_reshape",),
    "squeeze_copy": ("views_as_reshape",),
    "select_copy": ("select_as_slice",),
    "unbind_copy": ("parts_as_slices",),
    "split_copy": ("parts_as_slices",),
    "split_with_sizes_copy": ("parts_as_slices",),
    "alias_copy": ("copies_removed", "plain_slices"),
    "_softmax": ("softmax_along_the_last_axis",),
    "where": ("attention_by_products",),
    "eq": ("attention_by_products",),
    "any": ("attention_by_products",),
    "logical_not": ("attention_by_products",),
    "full_like": ("attention_by_products", "constants_folded"),
    "full": ("constants_folded",),
    "mul.Scalar": ("attention_by_products", "numbers_as_tensors"),
    "add.Scalar": ("numbers_as_tensors",),
    "sub.Scalar": ("numbers_as_tensors",),
    "div.Scalar": ("numbers_as_tensors",),
    "_clone_dim_order": ("copies_removed",),
    "avg_pool2d": ("average_without_padding",),
    "_adaptive_avg_pool2d": ("global_pool_by_mean",),
    "elu": ("elu_by_clamps",),
    "softplus": ("softplus_by_log",),
    "mish": ("mish_by_log",),
    "index": ("constants_folded",),
    "linalg_vector_norm": ("length_by_product",),
    "hardsigmoid": ("hardsigmoid_by_clamp",),
    "_to_dim_order_copy": ("integers_as_floats", "constants_folded", "hardsigmoid_by_clamp"),
    "upsample_nearest2d": ("nearest_by_products",),
    "pixel_unshuffle": ("pixel_unshuffle_by_permute",),
    "constant_pad_nd": ("pad_of_zeros",),
    "rms_norm": ("rms_norm_by_products",),
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What ExecuTorch's partitioner takes in some form.
EXECUTORCH_TAKES = _words(
    "abs add addmm avg_pool2d bmm cat ceil clamp clone constant_pad_nd convolution cos div exp "
    "floor gelu hardswish hardtanh leaky_relu linear log max max_pool2d maximum mean minimum mm "
    "mul neg permute_copy pow prelu relu rsqrt sigmoid sin slice_copy _softmax sqrt sub tanh "
    "unsqueeze_copy upsample_bilinear2d view_copy _to_dim_order_copy"
)

TFLITE_TAKES = _words(
    "ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D COS DEPTH_TO_SPACE "
    "DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EXP EXPAND_DIMS FLOOR FULLY_CONNECTED GELU HARD_SWISH "
    "LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG PAD PRELU QUANTIZE "
    "REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR ROUND RSQRT SIN SLICE "
    "SOFTMAX SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH "
    "TRANSPOSE TRANSPOSE_CONV VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE"
)
TFLITE_FLOAT_ONLY = _words("GELU EXP RSQRT SQRT SQUARE NEG ABS SOFTMAX")
TFLITE_PARTS = {"CONCATENATION": range(2, 6), "SPLIT": range(2, 5)}

TFLITE: dict[str, str] = {
    "BROADCAST_TO": "a copy; XNNPACK broadcasts in arithmetic only",
    "TILE": "a copy; XNNPACK broadcasts in arithmetic only",
    "GATHER": _NO_INDEX,
    "GATHER_ND": _NO_INDEX,
    "SCATTER_ND": _NO_INDEX,
    "EMBEDDING_LOOKUP": _NO_INDEX,
    "TOPK_V2": _NO_INDEX,
    "ARG_MAX": _NO_INDEX,
    "ONE_HOT": _NO_INDEX,
    "SELECT": "XNNPACK has no selection",
    "SELECT_V2": "XNNPACK has no selection",
    "CAST": "a change of type, which XNNPACK does not do",
    "CUMSUM": "XNNPACK has no cumulative sum",
    "PACK": "XNNPACK joins along an axis that is there; PACK makes a new one",
    "UNPACK": _VIEW,
    "SQUEEZE": _VIEW,
    "POW": "XNNPACK takes squares only",
    "L2_NORMALIZATION": "XNNPACK has no L2 normalisation",
    "PADV2": "XNNPACK pads with zeros only",
    "MIRROR_PAD": "XNNPACK pads with zeros only",
    "RESIZE_NEAREST_NEIGHBOR": "XNNPACK resizes bilinearly only",
    "STABLEHLO_SORT": "the runtime has no kernel for it: the file does not load",
}

TFLITE_CURES: dict[str, tuple[str, ...]] = {
    "BROADCAST_TO": ("expands_removed",),
    "TILE": ("repeat_by_cat", "blocks_repeated_by_cat"),
    "GATHER": ("select_as_slice", "constants_folded"),
    "GATHER_ND": ("constants_folded",),
    "SELECT": ("attention_by_products",),
    "SELECT_V2": ("attention_by_products",),
    "CAST": ("integers_as_floats",),
    "UNPACK": ("parts_as_slices",),
    "SQUEEZE": ("views_as_reshape",),
    "CONCATENATION": ("cat_of_five",),
    "RESIZE_NEAREST_NEIGHBOR": ("nearest_by_products",),
    "FULLY_CONNECTED": ("values_as_tokens",),
}

T = TypeVar("T")


def executorch_reason(op: str, *, odd_dtype: str | None, rank: int) -> str:
    """In words; odd_dtype: the type of a tensor it touches that is no float, if there is one."""
    said = _found(EXECUTORCH, op)
    if said in (_MASKED, _NO_INDEX):
        return said
    if rank > RANK:
        return f"a tensor of {rank} axes; XNNPACK takes up to {RANK}"
    if odd_dtype and op.partition(".")[0] in EXECUTORCH_TAKES - {"_to_dim_order_copy"}:
        return f"it touches {odd_dtype} tensors; XNNPACK computes float32 and float16 only"
    if said:
        return said
    name = op.partition(".")[0]
    if name in EXECUTORCH_TAKES:
        return f"XNNPACK has {name}, but not in this form"
    return f"XNNPACK has no {name.removesuffix('_copy')}"


def executorch_cures(op: str) -> tuple[str, ...]:
    return _found(EXECUTORCH_CURES, op) or ()


def tflite_reason(op: str, *, dtype: str, rank: int, parts: int) -> str:
    """Why XNNPACK refuses the operator; "" where it takes it.

    dtype: of its output. rank: the most axes of its tensors. parts: tensors it joins or makes.
    """
    if op not in TFLITE_TAKES:
        return TFLITE.get(op, f"XNNPACK has no {op}")
    if rank > RANK:
        return f"a tensor of {rank} axes; XNNPACK takes up to {RANK}"
    if dtype not in ("FLOAT32", "FLOAT16", "INT8", "UINT8"):
        return f"it computes {dtype}; XNNPACK computes floats and 8-bit integers only"
    if "INT8" in dtype and op in TFLITE_FLOAT_ONLY:
        return f"XNNPACK computes {op} in float only"
    if parts not in TFLITE_PARTS.get(op, (parts,)):
        return (
            f"it has {parts} parts; XNNPACK takes {TFLITE_PARTS[op][0]} to {TFLITE_PARTS[op][-1]}"
        )
    return ""


def tflite_cures(op: str) -> tuple[str, ...]:
    return TFLITE_CURES.get(op, ())


def _found(table: Mapping[str, T], op: str) -> T | None:
    return table.get(op, table.get(op.partition(".")[0]))
