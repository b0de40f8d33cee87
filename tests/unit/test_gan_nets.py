"""The networks are the paper's, and folding convolutions changes nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.gan import nets
from wsipipe.gan.losses import gradient_penalty
from wsipipe.gan.nets import Critic, Generator, pooled_conv3x3, upsampled_conv3x3
from wsipipe.gan.standardize import FeatureNorm, standardize_trunk


def plain_pooled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return F.avg_pool2d(F.conv2d(x, conv.weight, conv.bias, padding=1), 2)


def plain_upsampled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    up = F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.conv2d(up, conv.weight, conv.bias, padding=1)


@pytest.fixture
def double() -> None:
    """Numbers with 53 bits, to tell rounding from being wrong."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_paper_width_has_the_papers_parameters() -> None:
    config = GanConfig()
    with torch.device("meta"):
        generator, critic = Generator(config, 32), Critic(config)
    conv, conv1x1 = 128 * 128 * 9 + 128, 128 * 128 + 128
    linear = (32 + 5) * 4 * 4 * 128 + 4 * 4 * 128
    up_block = 2 * conv + conv1x1 + 2 * 2 * 128
    assert sum(p.numel() for p in generator.parameters()) == linear + 3 * up_block + 2 * 128 + 128 * 3 * 9 + 3
    first = (3 * 128 * 9 + 128) + conv + (3 * 128 + 128)
    trunk = first + (2 * conv + conv1x1) + 2 * 2 * conv
    assert sum(p.numel() for p in critic.parameters()) == trunk + (128 + 1) + (128 * 5 + 5)


@pytest.mark.parametrize("size", [8, 32, 40])
def test_shapes_and_ranges(size: int) -> None:
    config = GanConfig(channels=8, noise_dim=4, classes=3)
    patches = Generator(config, size)(torch.randn(6, 4), F.one_hot(torch.arange(6) % 3, 3).float())
    assert patches.shape == (6, 3, size, size)
    assert patches.abs().max() <= 1.0
    critic = Critic(config)
    assert critic.score(patches).shape == (6,)
    probability = critic.log_classes(patches).exp()
    assert probability.shape == (6, 3)
    torch.testing.assert_close(probability.sum(1), torch.ones(6))


@pytest.mark.parametrize(("folded", "plain"), [(pooled_conv3x3, plain_pooled), (upsampled_conv3x3, plain_upsampled)])
@pytest.mark.usefixtures("double")
def test_folding_is_exact_with_its_gradients(folded, plain) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, 3, padding=1)
    x = torch.randn(2, 5, 8, 6, requires_grad=True)
    answers = []
    for convolve in (folded, plain):
        y = convolve(x, conv)
        answers.append((y, *torch.autograd.grad(y.square().sum(), (x, conv.weight, conv.bias))))
    for ours, wanted in zip(*answers, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_folding_is_exact_through_the_gradient_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    critic = Critic(GanConfig(channels=6))
    real, fake, mix = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16), torch.rand(3)
    trunk = list(critic.trunk.parameters())
    answers = []
    for convolve in (pooled_conv3x3, plain_pooled):
        monkeypatch.setattr(nets, "pooled_conv3x3", convolve)
        penalty = gradient_penalty(critic.score, real, fake, mix)
        answers.append((penalty, *torch.autograd.grad(penalty, trunk, materialize_grads=True)))
    for ours, wanted in zip(*answers, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_the_whole_generator_and_trunk_are_what_the_paper_draws() -> None:
    """Written out again, one layer a line, without folding or moving anything."""
    torch.manual_seed(0)
    config = GanConfig(channels=6, noise_dim=4)
    generator, critic = Generator(config, 16), Critic(config)
    noise, one_hot = torch.randn(5, 4), torch.eye(5)

    def normalized(h: Tensor) -> Tensor:
        return F.relu(F.batch_norm(h, None, None, training=True))

    h = F.linear(torch.cat((noise, one_hot), 1), generator.linear.weight, generator.linear.bias)
    h = h.view(5, 2, 2, 6).permute(0, 3, 1, 2)
    for block in generator.blocks:
        residual = plain_upsampled(normalized(block.conv1(normalized(h))), block.conv2)
        h = residual + block.shortcut(F.interpolate(h, scale_factor=2.0, mode="nearest"))
    patches = torch.tanh(generator.to_rgb(normalized(h)))
    torch.testing.assert_close(generator(noise, one_hot), patches)

    first, second, *others = critic.trunk
    h = plain_pooled(F.relu(first.conv1(patches)), first.conv2) + first.shortcut(F.avg_pool2d(patches, 2))
    h = plain_pooled(F.relu(second.conv1(F.relu(h))), second.conv2) + second.shortcut(F.avg_pool2d(h, 2))
    for block in others:
        h = h + block.conv2(F.relu(block.conv1(F.relu(h))))
    torch.testing.assert_close(critic.features(patches), F.relu(h).mean((2, 3)))
    assert len(others) == 2


def test_standardized_trunk_has_standard_channels() -> None:
    torch.manual_seed(0)
    critic = Critic(GanConfig(channels=8))
    patches = 0.6 + 0.1 * torch.randn(64, 3, 16, 16)  # bright and alike, as real cells are
    standardize_trunk(critic, patches)
    for convolved in (
        critic.trunk[0].conv1(patches),
        critic.trunk[1].shortcut(F.avg_pool2d(critic.trunk[0](patches), 2)),
    ):
        variance, mean = torch.var_mean(convolved, (0, 2, 3))
        torch.testing.assert_close(mean, torch.zeros(8), atol=1e-3, rtol=0)
        torch.testing.assert_close(variance, torch.ones(8), atol=1e-2, rtol=0)


def test_folded_norm_gives_the_same_answers() -> None:
    torch.manual_seed(0)
    features, head = 5.0 + 0.1 * torch.randn(500, 6), nn.Linear(6, 3)
    norm = FeatureNorm(6, "cpu")
    wanted = head(norm.of_real(features))
    norm.fold_into(head, features)
    torch.testing.assert_close(head(features), wanted, atol=2e-2, rtol=0)  # batch norm divides by n, not n - 1


def test_remembered_statistics_are_of_real_cells_only() -> None:
    norm = FeatureNorm(1, "cpu")
    for _ in range(200):
        norm.of_real(torch.tensor([[9.0], [11.0]]))
        norm.of_generated(torch.tensor([[100.0], [200.0]]))
    torch.testing.assert_close(norm.mean, torch.tensor([10.0]))
    torch.testing.assert_close(norm.of_generated(torch.tensor([[10.0 + 2**0.5]])), torch.tensor([[1.0]]))
