"""Rules that turn an exported graph into an equal one that runs where it should; see rule.py."""

# The files of this folder that hold rules. Each joins when those before it have come to rest, so
# that a later one finds the graph in their form.
NAMES = (
    "merging",
    "views",
    "identities",
    "affine",
    "sums",
    "branches",
    "products",
    "padding",
    "layout",
    "shuffles",
    "upsampling",
    "pooling",
    "activations",
    "attention",
    "broadcasts",
    "joins",
    "slices",
    "depthwise",
    "residual",
    "layer_norm",
    "group_norm",
)
# Those of them that fold training-time structure into weights.
FOLDING = ("affine", "sums", "branches", "products")
# For targets that compute in fp16: before the others, and by itself after them.
BEFORE_FP16, AFTER_FP16 = "fp16_sums", "fp16_weights"
# For Core ML, whose operators are larger than XNNPACK's.
NATIVE = (
    "merge_by_products",
    "native_norms",
    "transposes_as_permute",
    "views_as_reshape",
    "reshapes_joined",
    "permutes_joined",
    "identities",
    "affine",
    "sums",
    "branches",
    "products",
    "padding",
    "layout",
    "numbers_as_tensors",
    "blocks_repeated_by_cat",
    "repeat_by_cat",
)
FILES = tuple(dict.fromkeys(("merging", BEFORE_FP16, "native_norms", *NAMES, AFTER_FP16)))
