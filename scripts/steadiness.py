"""Measures how steady painted films are: on a film whose motion is known exactly, or on a real one.

    python scripts/steadiness.py PAINTING --frames 24 --size 192x108
    python scripts/steadiness.py PAINTING --film in.mp4 --frames 24 --size 192x108

Prints the warping error (Lai et al. 2018), Σ M |O_t − warp(O_{t−1})|² / Σ M, of the film itself, of
frames painted one by one with a fixed seed, and of frames that follow each other; and how mean,
contrast and sharpness (variance of the Laplacian) of the background drift.
"""

import argparse
import itertools
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.ops.resize import resize
from jaxstyle.video.motion import dis_flow, motion_between
from jaxstyle.video.reading import Clip, open_source

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import films  # pyright: ignore


class Real:
    """A real film, with the motion that the optical flow finds."""

    def __init__(self, path, count, shape):
        frames = itertools.islice(open_source(path, Clip()).frames(), count)
        self.frames = [resize(jnp.asarray(f.pixels, jnp.float32) / 255, shape) for f in frames]
        self.flows, self.visible = [jnp.zeros((*shape, 2))], [np.zeros(shape, bool)]
        flow = dis_flow()
        for before, frame in itertools.pairwise(self.frames):
            motion = motion_between(before, frame, flow)
            self.flows.append(self.flows[0] if motion is None else motion.flow)
            self.visible.append(
                np.asarray(0 if motion is None else motion.trust) * np.ones(shape) > 0.9
            )


def warping_error(painted, film):
    """Returns the mean over the frames."""
    errors = []
    for i in range(1, len(painted)):
        seen = film.visible[i]
        warped = js.video.warp(painted[i - 1], film.flows[i])
        if seen.any():
            errors.append(float(jnp.square(painted[i] - warped).mean(-1)[seen].mean()))
    return float(np.mean(errors))


def statistics(image, region):
    """Returns mean, contrast and sharpness of a part of an image."""
    grey = np.asarray(image).mean(-1)
    laplacian = np.zeros_like(grey)
    laplacian[1:-1, 1:-1] = (
        grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    )
    part = grey[region]
    return np.array([part.mean(), part.std(), laplacian[region].var()])


def main():
    """Paints, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("painting")
    parser.add_argument("--film", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="160x90")
    parser.add_argument("--pan", type=float, default=0.3, help="pixels per frame to the right")
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--frame-iterations", type=int, default=12)
    parser.add_argument("--weight", type=float, nargs="+", default=[400.0])
    parser.add_argument("--alone", type=int, default=4, help="frames to paint one by one")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    shape = (height, width)
    if options.film:
        film = Real(options.film, options.frames, shape)
    else:
        film = films.Moving(options.frames, shape, pan=(0.0, options.pan), speed=(0.3, 1.7))
    style = js.load_image(options.painting)
    recipe = js.Recipe(size=(width, height), iterations=options.iterations, memory="whole")
    encoder = js.load_encoder("vgg16")
    # The background that never is behind the square or outside the film.
    region = np.s_[height * 3 // 4 : -4, 4:-4]
    print("film", warping_error(film.frames, film), flush=True)
    began = time.monotonic()
    alone = [
        js.paint(recipe, frame, style, encoder=encoder).image
        for frame in film.frames[: options.alone]
    ]
    if alone:
        seconds = (time.monotonic() - began) / len(alone)
        print("one by one", warping_error(alone, film), f"{seconds:.2f} s/frame", flush=True)
    for weight in options.weight:
        settings = js.video.FrameSettings(
            frame_iterations=options.frame_iterations, temporal_weight=weight
        )
        painted, times = [], []
        for frame in js.video.paint_frames(
            recipe, film.frames, style, encoder=encoder, settings=settings
        ):
            painted.append(frame.image)
            print(f"\r{len(painted)} frames", end="", file=sys.stderr, flush=True)
            times.append(time.monotonic())
        seconds = np.median(np.diff(times))
        print("weight", weight, warping_error(painted, film), f"{seconds:.2f} s/frame", flush=True)
        base = statistics(painted[min(9, len(painted) - 1)], region)
        for i in range(0, len(painted), max(1, len(painted) // 8)):
            print("   frame", i, (statistics(painted[i], region) / base).round(3), flush=True)
        print("   frame", len(painted) - 1, (statistics(painted[-1], region) / base).round(3))
        if options.save:
            chosen = painted[:: max(1, len(painted) // 4)][:5]
            strip = np.concatenate([np.asarray(image) for image in chosen], 1)
            js.save_image(f"{options.save}-{weight:g}.png", jnp.asarray(strip), overwrite=True)
    if options.save and alone:
        strip = np.concatenate([np.asarray(image) for image in alone], 1)
        js.save_image(f"{options.save}-alone.png", jnp.asarray(strip), overwrite=True)


if __name__ == "__main__":
    main()
