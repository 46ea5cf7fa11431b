"""Plain second implementations, in NumPy and float64, that the tests compare the library with."""

import numpy as np
import pytest

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def relative_error(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def convolve_relu(x, kernel, bias):
    """Returns the sum of nine shifted products, with zeros around the image."""
    h, w, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    z = bias + sum(padded[i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))
    return np.maximum(z, 0)


def pool(x, pooling):
    h, w, c = x.shape[0] // 2, x.shape[1] // 2, x.shape[2]
    blocks = x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, c)
    return blocks.max((1, 3)) if pooling == "max" else blocks.mean((1, 3))


def encode(image, encoder, layers):
    """Returns features of an encoder with the preprocessing `torch`."""
    params = {
        k: {n: np.asarray(a, np.float64) for n, a in p.items()} for k, p in encoder.params.items()
    }
    x = (np.asarray(image, np.float64) - MEAN) / STD
    features = {"image": np.concatenate([x, np.ones((*x.shape[:2], 1))], -1)}
    for name in encoder.network.layers:
        if name.endswith("_1") and name != "conv1_1":
            x = pool(x, encoder.network.pooling)
        x = convolve_relu(x, **params[name])
        features[name] = x
    return {name: features[name] for name in layers}


def torch_features(params, network, x):
    """Returns PyTorch's features for the same parameters; `x` is the network's input."""
    torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    functional = torch.nn.functional
    pools = {"max": functional.max_pool2d, "average": functional.avg_pool2d}
    features, x = {}, torch.from_numpy(np.array(x)).permute(2, 0, 1)[None]
    for name in network.layers:
        if name.endswith("_1") and name != "conv1_1":
            x = pools[network.pooling](x, 2)
        kernel, bias = (torch.from_numpy(np.array(params[name][k])) for k in ("kernel", "bias"))
        mode = {"zeros": "constant", "replicate": "replicate"}[network.padding]
        padded = functional.pad(x, (1, 1, 1, 1), mode=mode)
        x = functional.relu(functional.conv2d(padded, kernel.permute(3, 2, 0, 1), bias))
        features[name] = x[0].permute(1, 2, 0).numpy()
    return features


def gram(f):
    flat = f.reshape(-1, f.shape[-1])
    return flat.T @ flat / len(flat)


def loss_terms(image, content, style, encoder, objective, loss_weights):
    """Returns the terms by their definitions, divided by energies."""
    x = np.asarray(image, np.float64)
    layers = {*objective.content_layers, *objective.style_layers}
    f, p, s = (encode(picture, encoder, layers) for picture in (image, content, style))
    content_term = sum(
        float(loss_weights.content_layers.get(k, 1.0))
        * ((f[k] - p[k]) ** 2).sum()
        / (p[k] ** 2).sum()
        for k in objective.content_layers
    )
    style_term = sum(
        float(loss_weights.style_layers.get(k, 1.0))
        * ((gram(f[k]) - gram(s[k])) ** 2).sum()
        / (gram(s[k]) ** 2).sum()
        for k in objective.style_layers
    )
    dx, dy = x[:, 1:] - x[:, :-1], x[1:] - x[:-1]
    tv = ((dx**2).sum() + (dy**2).sum()) / x.size
    return {
        "content": float(loss_weights.content) * content_term,
        "style": float(loss_weights.style) * style_term,
        "tv": float(loss_weights.tv) * tv,
    }


def slope_error(fun, x, gradient, rng, step=1e-5):
    """Returns the relative error of a gradient, by slopes along it and random directions."""
    gradient, x = np.asarray(gradient, np.float64), np.asarray(x, np.float64)
    errors = []
    for direction in [gradient, *rng.normal(size=(3, *x.shape))]:
        direction = direction / np.linalg.norm(direction)
        slope = (fun(x + step * direction) - fun(x - step * direction)) / (2 * step)
        errors.append(abs(slope - (gradient * direction).sum()))
    return max(errors) / np.linalg.norm(gradient)


def psd_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def normal(f, ridge):
    """Returns mean and covariance; the ridge is at least 1e-6 of the sum of the mean squares."""
    flat = f.reshape(-1, f.shape[-1])
    ridge = max(ridge, 1e-6 * (flat**2).mean(0).sum())
    return flat.mean(0), np.cov(flat.T, bias=True) + ridge * np.eye(flat.shape[1])


def wasserstein(f, s, ridge=1e-4):
    """Returns the squared distance of two normal distributions, by eigenvectors."""
    (m, c), (n, d) = normal(f, ridge), normal(s, ridge)
    # tr (√D C √D)^½ by the singular values of √D √C: half the digits are lost in the product.
    common = np.linalg.svd(psd_root(d) @ psd_root(c), compute_uv=False).sum()
    return ((m - n) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * common


def mean_std(f, s, ridge=1e-4):
    (m, v), (n, w) = ((x.mean((0, 1)), x.var((0, 1)) + ridge) for x in (f, s))
    return ((m - n) ** 2).sum() + ((np.sqrt(v) - np.sqrt(w)) ** 2).sum()


def quantiles(values, size):
    """Returns quantiles of each column, interpolated at the middles of ``size`` equal parts."""
    own = (np.arange(len(values)) + 0.5) / len(values)
    wanted = (np.arange(size) + 0.5) / size
    return np.stack([np.interp(wanted, own, np.sort(column)) for column in values.T], 1)


def sliced(f, s, directions):
    """Returns the mean squared difference of sorted projections, summed over directions."""
    x, t = (a.reshape(-1, a.shape[-1]) @ directions for a in (f, s))
    return ((np.sort(x, 0) - quantiles(t, len(x))) ** 2).mean(0).sum()


def differences(image, wrap):
    """Yields the differences to the right and down at every pixel; None where the image ends."""
    h, w, c = image.shape
    for i in range(h):
        for j in range(w):
            for k in range(c):
                here = image[i, j, k]
                right = image[i, (j + 1) % w, k] - here if wrap or j + 1 < w else None
                down = image[(i + 1) % h, j, k] - here if wrap or i + 1 < h else None
                yield right, down


def total_variation(image, kind, wrap=False):
    pairs = list(differences(np.asarray(image, np.float64), wrap))
    if kind == "isotropic^1.25":
        return sum((a * a + b * b) ** 1.25 for a, b in pairs if a is not None and b is not None)
    steps = [d for pair in pairs for d in pair if d is not None]
    return sum(map(abs, steps)) if kind == "l1" else sum(d * d for d in steps)
