"""Rules that turn an exported graph into an equal one that runs where it should; see rule.py."""

# The files of this folder that hold rules, in the order in which they are tried.
NAMES = (
    "views",
    "identities",
    "affine",
    "layout",
    "layer_norm",
    "group_norm",
    "attention",
    "depthwise",
    "pooling",
    "activations",
    "broadcasts",
    "slices",
)
