"""The tools that the presets reproduce: each loss as its tool writes it, in PyTorch and float64.

Images are `[3, h, w]`. Every loss takes the variable that the tool moves, the image's features `f`,
the content's `p` and the style's `a`; it returns its terms, content, style and total variation.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

VGG16, VGG19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
FIRSTS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


def caffe(image):
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=image.dtype)
    return 255 * image[[2, 1, 0]] - mean[:, None, None]


def imagenet(image):
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=image.dtype)
    return (image - mean[:, None, None]) / std[:, None, None]


def from_caffe(z):
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=z.dtype)
    return ((z + mean[:, None, None]) / 255)[[2, 1, 0]]


def from_imagenet(z):
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=z.dtype)
    return z * std[:, None, None] + mean[:, None, None]


def identity(image):
    return image


def raw_gram(f):
    flat = f.flatten(1)
    return flat @ flat.T


def gatys(z, f, p, a):
    style = 0.0
    for name, n in zip(FIRSTS, (64, 128, 256, 512, 512), strict=True):
        g, target = (raw_gram(x[name]) / x[name][0].numel() for x in (f, a))
        style += 1e3 / n**2 * functional.mse_loss(g, target)
    return functional.mse_loss(f["conv4_2"], p["conv4_2"]), style, 0 * z.sum()


def neural_style(z, f, p, a):
    style = 0.0
    for name in FIRSTS:
        g, target = (raw_gram(x[name]) / x[name].numel() for x in (f, a))
        style += 100 * functional.mse_loss(g, target)
    variation = z.diff(dim=1).abs().sum() + z.diff(dim=2).abs().sum()
    return 5 * functional.mse_loss(f["conv4_2"], p["conv4_2"]), style, 1e-3 * variation


def keras_style(z, f, a):
    size = z.shape[1] * z.shape[2]
    return ((raw_gram(f) - raw_gram(a)) ** 2).sum() / (4 * 3**2 * size**2)


def keras_variation(z):
    here = z[:, :-1, :-1]
    squares = (here - z[:, 1:, :-1]) ** 2 + (here - z[:, :-1, 1:]) ** 2
    return (squares**1.25).sum()


def keras(z, f, p, a):
    content = 2.5e-8 * ((f["conv5_2"] - p["conv5_2"]) ** 2).sum()
    style = sum(1e-6 / 5 * keras_style(z, f[name], a[name]) for name in FIRSTS)
    return content, style, 1e-6 * keras_variation(z)


def surma(z, f, p, a):
    content = 0.02 * ((f["conv2_2"] - p["conv2_2"]) ** 2).sum()
    layers = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
    style = sum(4.5 / 5 * keras_style(z, f[name], a[name]) for name in layers)
    return content, style, 0.995 * keras_variation(z)


def udacity(z, f, p, a):
    style = 0.0
    for name, weight in zip(FIRSTS, (1, 0.75, 0.2, 0.2, 0.2), strict=True):
        d, h, w = f[name].shape
        difference = raw_gram(f[name]) - raw_gram(a[name])
        style += weight * (difference**2).mean() / (d * h * w)
    return ((f["conv4_2"] - p["conv4_2"]) ** 2).mean(), 1e6 * style, 0 * z.sum()


def normal(f):
    flat = f.flatten(1)
    mean = flat.mean(1)
    covariance = flat @ flat.T / flat.shape[1] - torch.outer(mean, mean)
    return mean, covariance + 1e-4 * torch.eye(len(mean), dtype=f.dtype)


def root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ values.sqrt().diag() @ vectors.T


def nine_point(z):
    x = functional.pad(z[None], (1, 1, 1, 1), "replicate")[0]
    axial = x[:, 1:-1, 2:] - x[:, 1:-1, 1:-1], x[:, 2:, 1:-1] - x[:, 1:-1, 1:-1]
    diagonal = x[:, 1:, 1:] - x[:, :-1, :-1], x[:, 1:, :-1] - x[:, :-1, 1:]
    return 2 * (sum((d**2).mean() for d in axial) / 3 + sum((d**2).mean() for d in diagonal) / 12)


def crowson(z, f, p, a):
    style = 0.0
    for name, weight in zip(FIRSTS, (256, 64, 16, 4, 1), strict=True):
        (mean, covariance), (target, wanted) = normal(f[name]), normal(a[name])
        half = root(wanted)
        # The trace of a root takes eigenvalues only: those of eigenvectors have no gradient where
        # two are equal.
        common = torch.linalg.eigvalsh(half @ covariance @ half).sqrt().mean()
        spread = covariance.diag().mean() + wanted.diag().mean() - 2 * common
        style += weight / 341 * (((mean - target) ** 2).mean() + spread)
    return 0.015 * functional.mse_loss(f["conv4_2"], p["conv4_2"]), style, 2 * nine_point(z)


def sgd(variables):
    optimiser = torch.optim.SGD(variables, lr=100.0)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda t: 0.96 ** (t / 100))


def adam(rate, betas):
    def make(variables):
        optimiser = torch.optim.Adam(variables, lr=rate, betas=betas)
        return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)

    return make


class Original(NamedTuple):
    """A tool: its terms, its network, what it moves and how, and what of that the network sees."""

    terms: Callable
    depths: tuple[int, ...]
    variable: Callable
    picture: Callable
    # Where the tool itself has L-BFGS, Adam in steps of 1 out of 255.
    optimiser: Callable = adam(1.0, (0.9, 0.999))
    network_input: Callable = identity
    first_padding: str = "constant"
    project: Callable = identity
    average: float = 0.0


ORIGINALS = {
    "gatys": Original(gatys, VGG19, caffe, from_caffe),
    "neural-style": Original(neural_style, VGG19, caffe, from_caffe),
    "surma": Original(surma, VGG16, caffe, from_caffe),
    "udacity": Original(udacity, VGG19, imagenet, from_imagenet, adam(0.003, (0.9, 0.999))),
    "keras": Original(keras, VGG19, caffe, from_caffe, sgd),
    "crowson": Original(
        crowson,
        VGG19,
        identity,
        identity,
        adam(0.02, (0.9, 0.99)),
        network_input=imagenet,
        first_padding="replicate",
        project=lambda z: z.clamp(0, 1),
        average=0.99,
    ),
}


def from_image(image):
    """Turns an image of ours, `f32[h, w, 3]`, into one of PyTorch's."""
    return torch.from_numpy(np.array(image, np.float64)).permute(2, 0, 1)


def to_numpy(image):
    return image.detach().permute(1, 2, 0).numpy().copy()


class Oracle:
    """A tool with the parameters of an encoder of ours, about to paint a content in a style."""

    def __init__(self, name, params, content, style):
        self.original = ORIGINALS[name]
        self.params = {
            layer: [torch.from_numpy(np.array(p[k], np.float64)) for k in ("kernel", "bias")]
            for layer, p in params.items()
        }
        variable = self.original.variable
        self.p, self.a = (self.features(variable(from_image(x))) for x in (content, style))

    def features(self, z):
        x, features = self.original.network_input(z)[None], {}
        for block, depth in enumerate(self.original.depths, 1):
            x = functional.max_pool2d(x, 2) if block > 1 else x
            for i in range(1, depth + 1):
                name = f"conv{block}_{i}"
                kernel, bias = self.params[name]
                mode = self.original.first_padding if name == "conv1_1" else "constant"
                padded = functional.pad(x, (1, 1, 1, 1), mode=mode)
                x = functional.relu(functional.conv2d(padded, kernel.permute(3, 2, 0, 1), bias))
                features[name] = x[0]
        return features

    def terms(self, z):
        return self.original.terms(z, self.features(z), self.p, self.a)

    def at(self, image):
        """Returns the terms, and the gradient of their sum with respect to the image."""
        image = from_image(image).requires_grad_()
        terms = self.terms(self.original.variable(image))
        sum(terms).backward()
        return [term.item() for term in terms], to_numpy(image.grad)

    def descend(self, image, steps):
        """Returns the losses after each step, and the image that the tool would then show."""
        z = self.original.variable(from_image(image)).requires_grad_()
        optimiser, schedule = self.original.optimiser([z])
        decay, losses, loss = self.original.average, [], sum(self.terms(z))
        shown, missing = (1 - decay) * z.data, decay
        for _ in range(steps):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            z.data = self.original.project(z.data)
            loss = sum(self.terms(z))
            losses.append(loss.item())
            shown, missing = decay * shown + (1 - decay) * z.data, decay * missing
        return losses, to_numpy(self.original.picture(shown / (1 - missing)))
