"""Write scikit-learn's two sample photographs as JPEG files.

python examples/photographs.py OUT
"""

import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    samples = load_sample_images()
    for name, pixels in zip(samples.filenames, samples.images, strict=True):
        Image.fromarray(pixels).save(out / Path(name).name, quality=95)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
