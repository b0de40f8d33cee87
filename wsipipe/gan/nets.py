"""Generator and critic of Hu et al. (IEEE JBHI 2019, arXiv 1711.11317), at any width."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.records import DESCRIPTION

CENTRE_SIGMA = 0.19
"""Standard deviation of the centre's window, as a share of the patch: 3 um at 16 um, the radius of a nucleus."""

DOWNSCALING = 8
"""The generator makes a patch in three doublings, so a patch's side is a multiple of this."""


class Generator(nn.Module):
    """Patches from class and noise: linear, three residual up-blocks, batch norm, tanh.

    Parameters
    ----------
    config : GanConfig
        Width (`channels`), `classes` and `noise_dim`.
    patch_px : int
        Side of a patch, a multiple of 8.
    """

    def __init__(self, config: GanConfig, patch_px: int) -> None:
        super().__init__()
        self.start_px, self.noise_dim = patch_px // DOWNSCALING, config.noise_dim
        self.linear = nn.Linear(config.noise_dim + config.classes, config.channels * self.start_px**2)
        self.blocks = nn.Sequential(*(UpBlock(config.channels) for _ in range(3)))
        self.norm = BatchNorm(config.channels)
        self.to_rgb = nn.Conv2d(config.channels, 3, 3, padding=1)

    def forward(self, noise: Tensor, one_hot: Tensor) -> Tensor:
        """Patches (n, 3, s, s) in [-1, 1] from noise (n, noise_dim) and classes (n, k)."""
        start = self.linear(torch.cat((noise, one_hot), 1))
        start = start.view(len(start), self.start_px, self.start_px, -1).permute(0, 3, 1, 2)
        return torch.tanh(self.to_rgb(F.relu(self.norm(self.blocks(start)))))


class Critic(nn.Module):
    """The trunk that D and Q share, and their linear heads. No batch norm: the penalty is per patch.

    With `config.lambda_measure` there is a third head, which tells the cell's description from its patch. With
    `config.describe` Q has a second opinion, linear in the description itself.
    """

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        width = config.channels
        self.trunk = nn.Sequential(
            DownBlock(3, width, leading_relu=False),
            DownBlock(width, width, leading_relu=True),
            ResidualBlock(width),
            ResidualBlock(width),
        )
        self.centred = config.pooling == "centre"
        self.n_features = width * (2 if self.centred else 1)
        self.d_head = nn.Linear(self.n_features, 1)
        self.q_head = nn.Linear(self.n_features, config.classes)
        self.m_head = nn.Linear(self.n_features, len(DESCRIPTION)) if config.lambda_measure > 0 else None
        self.described = nn.Linear(len(DESCRIPTION), config.classes) if config.describe else None
        if config.describe:
            self.register_buffer("sharpness", torch.ones(()))  # of Q's answers: see `gan.sharpness`

    def features(self, patches: Tensor) -> Tensor:
        """Features (n, n_features) of patches (n, 3, s, s) in [-1, 1]."""
        return self.pool(F.relu(self.trunk(patches)))

    def pool(self, maps: Tensor) -> Tensor:
        """Features (n, n_features) of the trunk's maps (n, channels, s, s)."""
        whole = maps.mean((2, 3))
        if not self.centred:
            return whole
        return torch.cat((whole, (maps * centre_window(maps.shape[2], maps.device)).sum((2, 3))), 1)

    def score(self, patches: Tensor) -> Tensor:
        """D: how real each patch looks, (n,), unbounded."""
        scores: Tensor = self.d_head(self.features(patches))
        return scores.squeeze(1)

    def log_classes(self, patches: Tensor) -> Tensor:
        """Q: log-probabilities (n, k) of the classes, of patches alone; `opinions.fused` weighs descriptions too."""
        return self.log_classes_of(self.features(patches))

    def log_classes_of(self, features: Tensor) -> Tensor:
        """Q's log-probabilities (n, k) from features (n, n_features)."""
        return F.log_softmax(self.q_head(features), 1)


@functools.cache
def centre_window(side: int, device: torch.device) -> Tensor:
    """Gaussian weights (side, side) around the middle of a map, where the cell is; they sum to 1.

    Made on the CPU and copied, which waits: on a GPU it is there for every stream from the moment that it is kept.
    """
    with torch.inference_mode(mode=False):  # it is kept, for trainings as well
        place = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
        along = torch.exp(-0.5 * (place / (CENTRE_SIGMA * side)) ** 2)
        window = along[:, None] * along
        return (window / window.sum()).to(device)


class BatchNorm(nn.Module):
    """Batch normalization of (n, c, h, w). As in torch, but every tensor of its state is float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize with the batch's statistics in training, with the running ones otherwise."""
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, self.training)


class UpBlock(nn.Module):
    """BN-ReLU-conv3x3, BN-ReLU-upsample2-conv3x3; shortcut upsample2-conv1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = BatchNorm(width), BatchNorm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, s, s) to (n, c, 2s, 2s)."""
        residual = upsampled_conv3x3(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))), self.conv2)
        # a 1x1 convolution and nearest upsampling commute: convolve the quarter-sized image
        return residual + F.interpolate(self.shortcut(x), scale_factor=2.0, mode="nearest")


class DownBlock(nn.Module):
    """conv3x3-ReLU-conv3x3-meanpool2, a ReLU before it where asked; shortcut meanpool2-conv1x1."""

    def __init__(self, channels_in: int, channels_out: int, *, leading_relu: bool) -> None:
        super().__init__()
        self.leading_relu = leading_relu
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, s, s) to (n, c_out, s/2, s/2)."""
        hidden = F.relu(self.conv1(F.relu(x) if self.leading_relu else x))
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2))
        return pooled_conv3x3(hidden, self.conv2) + shortcut


class ResidualBlock(nn.Module):
    """ReLU-conv3x3-ReLU-conv3x3 beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, s, s) to the same shape."""
        residual: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + residual


def pooled_conv3x3(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """conv3x3, then 2x2 mean pooling, as one 4x4 convolution of stride 2 (2.25 times fewer operations)."""
    return F.conv2d(x, pooled_kernel(conv.weight), conv.bias, stride=2, padding=1)


def pooled_kernel(weight: Tensor) -> Tensor:
    """The kernel (o, i, 4, 4) that does at stride 2 what `weight` (o, i, 3, 3) and then 2x2 mean pooling do.

    Averaging the outputs at four neighbouring places is convolving with the average of the kernel shifted to them.
    """
    return F.avg_pool2d(F.pad(weight, (1, 1, 1, 1)), 2, stride=1)


def upsampled_conv3x3(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Nearest upsampling by 2, then conv3x3, as one 4x4 transposed convolution of stride 2.

    Nearest upsampling is four times the adjoint of 2x2 mean pooling, so the kernel is folded in the same way.
    """
    adjoint = conv.weight.flip(2, 3).transpose(0, 1)
    kernel = 4.0 * F.avg_pool2d(F.pad(adjoint, (1, 1, 1, 1)), 2, stride=1)
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)
