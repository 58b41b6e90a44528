"""non_maximum_suppression, against one written box by box."""

import numpy as np
import pytest
from cases import Case, check

pytestmark = pytest.mark.needs("coremltools")


def overlap(a, b) -> float:
    """Intersection over union of (x, y of the centre, width, height)."""
    sides = [
        max(
            0.0,
            min(a[d] + a[d + 2] / 2, b[d] + b[d + 2] / 2)
            - max(a[d] - a[d + 2] / 2, b[d] - b[d + 2] / 2),
        )
        for d in (0, 1)
    ]
    common = sides[0] * sides[1]
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def chosen(boxes, scores, iou, least, most, per_class) -> list[int]:
    best, kind = scores.max(1), scores.argmax(1)
    left = [i for i in np.argsort(-best) if best[i] >= least]
    kept: list[int] = []
    while left and len(kept) < most:
        kept.append(int(left.pop(0)))
        left = [
            i
            for i in left
            if (per_class and kind[i] != kind[kept[-1]])
            or overlap(boxes[i], boxes[kept[-1]]) <= iou
        ]
    return kept


def suppressed(rng, *, per_class=False, most=6, ios=16):
    """Boxes of two images, most of them over one another. From iOS 17 on they are columns, nothing
    but overlap excludes one, and nothing says how many are left."""
    boxes = np.concatenate(
        [rng.uniform(0, 3, (2, 12, 2)), rng.uniform(1, 3, (2, 12, 2))], -1
    ).astype("f4")
    scores = rng.permutation(72).reshape(2, 12, 3).astype("f4") / 72
    least = 0.4 if ios < 17 else 0.0
    given = {"iou_threshold": np.float32(0.25), "max_boxes": most}
    given |= {"score_threshold": np.float32(least)} if ios < 17 else {}
    indices = np.full((2, most), -1, np.int32)
    kept = [chosen(b, s, 0.25, least, most, per_class) for b, s in zip(boxes, scores, strict=True)]
    found = [np.zeros((2, most, n), np.float32) for n in (4, 3)]
    for n, k in enumerate(kept):
        indices[n, : len(k)] = k
        found[0][n, : len(k)], found[1][n, : len(k)] = boxes[n, k], scores[n, k]
    assert any(len(k) < most for k in kept) == (most > 4), "the padding is tried, too"
    results = [*found, indices, np.array([len(k) for k in kept], np.int32)]
    if ios >= 17:
        boxes, scores = (a.swapaxes(1, 2).copy() for a in (boxes, scores))
        results = [*(a.swapaxes(1, 2) for a in found), indices]
    return Case(
        {"boxes": boxes, "scores": scores},
        results,
        given | {"per_class_suppression": per_class},
        ios=ios,
    )


CASES = {
    "non_maximum_suppression": suppressed,
    "non_maximum_suppression within classes": lambda rng: suppressed(rng, per_class=True, most=10),
    "non_maximum_suppression to two boxes": lambda rng: suppressed(rng, most=2),
    "non_maximum_suppression on iOS 17": lambda rng: suppressed(rng, ios=17),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_boxes_that_overlap_a_better_one_go(name, seed):
    check(name, CASES[name], seed)
