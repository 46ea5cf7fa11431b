"""Small films whose motion is known exactly."""

from fractions import Fraction

import av
import jax.numpy as jnp
import numpy as np

RATE = 10


def texture(seed, rough=1.0):
    """Returns a picture as a function of positions: waves of many lengths, in [0, 1]."""
    rng = np.random.default_rng(seed)
    k, phase = rng.normal(0, 0.25 * rough, (24, 2)), rng.uniform(0, 6.3, (24, 3))
    colour = rng.uniform(0.3, 1, (24, 3))

    def at(y, x):
        waves = np.sin(y[..., None] * k[:, 0] + x[..., None] * k[:, 1])[..., None]
        shifted = waves * np.cos(phase) + np.sqrt(1 - np.square(waves)) * np.sin(phase)
        return 0.5 + 0.45 * np.tanh((shifted * colour).sum(-2) / 3)

    return at


class Moving:
    """A textured square that moves over a textured background, which pans or stands still.

    Attributes:
        frames: Its frames, ``f32[h, w, 3]``.
        flows: For each frame the exact flow to the previous one; zeros for the first.
        visible: Where each frame shows what the previous one shows; nowhere for the first.
    """

    def __init__(self, count, shape=(48, 64), *, pan=(0.0, 0.0), speed=(0.5, 2.0), seed=0):
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
        behind, square, side = texture(seed), texture(seed + 1, 2.0), shape[0] // 3
        pan, speed = np.array(pan), np.array(speed)
        self.frames, self.flows, self.visible = [], [], []

        def inside(t, y, x):
            top, left = np.array([shape[0] / 4, shape[1] / 8]) + t * speed
            return (y >= top) & (y < top + side) & (x >= left) & (x < left + side)

        for t in range(count):
            cover = inside(t, y, x)
            pixels = behind(y + t * pan[0], x + t * pan[1])
            pixels = np.where(cover[..., None], square(y - t * speed[0], x - t * speed[1]), pixels)
            flow = np.where(cover[..., None], -speed[::-1], pan[::-1])
            y0, x0 = y + flow[..., 1], x + flow[..., 0]
            seen = (y0 >= 0) & (x0 >= 0) & (y0 <= shape[0] - 1) & (x0 <= shape[1] - 1)
            # With a margin of a pixel, over which the interpolation of a warp mixes both layers.
            near = [inside(t - 1, y0 + dy, x0 + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            seen &= np.where(cover, np.all(near, 0), ~np.any(near, 0))
            self.frames.append(jnp.asarray(pixels, jnp.float32))
            self.flows.append(jnp.asarray(flow * (t > 0), jnp.float32))
            self.visible.append(seen & (t > 0))


def write(path, frames, *, sound=False, times=None, codec="mpeg4", kind=None):
    """Writes frames as a film; ``times`` are in hundredths of a second."""
    with av.open(str(path), "w", format=kind) as film:
        stream = film.add_stream(codec, rate=RATE)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 1_000_000
        stream.codec_context.time_base = Fraction(1, 100)
        tone = film.add_stream("aac", rate=44100) if sound else None
        for i, frame in enumerate(frames):
            pixels = np.rint(255 * np.asarray(frame)).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts = 100 * i // RATE if times is None else times[i]
            picture.time_base = Fraction(1, 100)
            film.mux(stream.encode(picture))
        film.mux(stream.encode(None))
        if tone is not None:
            for i in range(len(frames) * 44100 // RATE // 1024):
                wave = np.sin(np.arange(1024 * i, 1024 * (i + 1)) * 0.06)[None]
                part = av.AudioFrame.from_ndarray(
                    wave.astype(np.float32), format="fltp", layout="mono"
                )
                part.sample_rate, part.pts = 44100, 1024 * i
                film.mux(tone.encode(part))
            film.mux(tone.encode(None))


def packets(path, kind):
    """Returns the packets of a film's stream of pictures or sound."""
    with av.open(str(path)) as film:
        stream = getattr(film.streams, kind)[0]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in film.demux(stream)
            if packet.dts is not None
        ]


def pictures(path):
    """Returns the frames of a film and their times."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
    return [f.to_ndarray(format="rgb24") / 255 for f in frames], [f.time for f in frames]
