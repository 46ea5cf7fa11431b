"""Plain second implementations, in NumPy and float64, that the tests hold the library against."""

import numpy as np

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def relative_error(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def convolve_relu(x, kernel, bias):
    """Nine shifted products, zeros around."""
    h, w, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    z = bias + sum(padded[i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))
    return np.maximum(z, 0)


def pool(x, pooling):
    h, w, c = x.shape[0] // 2, x.shape[1] // 2, x.shape[2]
    blocks = x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, c)
    return blocks.max((1, 3)) if pooling == "max" else blocks.mean((1, 3))


def encode(encoder, image, layers):
    """Features of an encoder with `torch` preprocessing."""
    params = {
        k: {n: np.asarray(a, np.float64) for n, a in p.items()} for k, p in encoder.params.items()
    }
    x = (np.asarray(image, np.float64) - MEAN) / STD
    features = {"image": np.concatenate([x, np.ones((*x.shape[:2], 1))], -1)}
    for name in encoder.vgg.layers:
        if name.endswith("_1") and name != "conv1_1":
            x = pool(x, encoder.vgg.pooling)
        x = convolve_relu(x, **params[name])
        features[name] = x
    return {name: features[name] for name in layers}


def gram(f):
    flat = f.reshape(-1, f.shape[-1])
    return flat.T @ flat / len(flat)


def loss_terms(image, content, style, encoder, objective, loss_weights):
    """Content, style and total variation, straight from their definitions."""
    x = np.asarray(image, np.float64)
    layers = {*objective.content_layers, *objective.style_layers}
    f, p, s = (encode(encoder, picture, layers) for picture in (image, content, style))
    content_term = sum(
        loss_weights.content_layers.get(k, 1.0) * ((f[k] - p[k]) ** 2).sum() / (p[k] ** 2).sum()
        for k in objective.content_layers
    )
    style_term = sum(
        loss_weights.style_layers.get(k, 1.0)
        * ((gram(f[k]) - gram(s[k])) ** 2).sum()
        / (gram(s[k]) ** 2).sum()
        for k in objective.style_layers
    )
    dx, dy = x[:, 1:] - x[:, :-1], x[1:] - x[:-1]
    tv = ((dx**2).sum() + (dy**2).sum()) / x.size
    return (
        loss_weights.content * content_term,
        loss_weights.style * style_term,
        loss_weights.tv * tv,
    )
