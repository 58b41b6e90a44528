"""Rules that turn an exported graph into an equal one that runs where it should; see rule.py."""

# The files of this folder that hold rules. Each joins when those before it have come to rest, so
# that a later one finds the graph in their form.
NAMES = (
    "views",
    "identities",
    "affine",
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
