"""One training: networks, optimizers, cells, and the three kinds of step."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.gan import losses
from wsipipe.gan.augment import augment, to_unit
from wsipipe.gan.nets import Critic, Generator
from wsipipe.gan.parts import Features, Workers, add_up
from wsipipe.gan.standardize import FeatureNorm, standardize_trunk

METRICS = ("critic", "penalty", "generator", "info", "real_info")
"""What `Trainer.metrics` holds: Wasserstein part of D's loss, gradient penalty, and the losses of G and Q."""

SAMPLE = 256
"""Real cells that initial weights are scaled on, and cells whose features are computed at once."""


class Trainer:
    """State of a training on one device.

    Parameters
    ----------
    cells : uint8 Tensor (n, s, s, 3)
        Training patches, on `device` or, when they do not fit there, on the CPU.
    config : GanConfig
    seed : int
        Names every random number; weights are drawn on the CPU, so that they begin alike on every device.
    workers : Workers
        Threads, and the device.
    """

    def __init__(self, cells: Tensor, config: GanConfig, seed: int, workers: Workers) -> None:
        self.config, self.cells, self.workers = config, cells, workers
        device = workers.device
        self.generator, self.critic = _initialised(config, cells.shape[1], seed)
        self.generator.to(device)
        self.critic.to(device)
        self.random = torch.Generator(device).manual_seed(seed)
        self.pick = torch.Generator(cells.device).manual_seed(seed + 1)
        self.norm = FeatureNorm(config.channels, device) if config.standardize else None
        if self.norm is not None:
            standardize_trunk(self.critic, self._real(SAMPLE))
        self.trunk, self.q_head = list(self.critic.trunk.parameters()), list(self.critic.q_head.parameters())
        self.d_parameters = [*self.trunk, *self.critic.d_head.parameters()]
        self.g_parameters = list(self.generator.parameters())
        self.q_parameters = [*self.g_parameters, *self.trunk, *self.q_head]
        self.d_optimizer = self._adam(self.d_parameters, config.learning_rate)
        self.g_optimizer = self._adam(self.g_parameters, config.learning_rate)
        self.q_optimizer = self._adam(self.q_parameters, config.info_learning_rate)
        self.steps_done = 0
        self.metrics = torch.zeros(len(METRICS), device=device)

    def step(self) -> None:
        """One generator step of the paper: D `critic_steps` times, then G, then Q `info_steps` times.

        Adds the step's losses to `metrics`, on the device: nothing waits for a GPU.
        """
        self._set_rates()
        for _ in range(self.config.critic_steps):
            critic, penalty = self._critic_step()
        generator = self._generator_step()
        info, real_info = self._info_step()
        if self.config.lambda_real > 0:
            for _ in range(self.config.info_steps - 1):
                real_info = self._real_info_step()
        self.metrics += torch.stack((critic, penalty, generator, info, real_info)).detach()
        self.steps_done += 1

    @torch.no_grad()
    def finish(self) -> None:
        """Leave in the networks all that Q needs: its standardized features become part of its linear layer."""
        if self.norm is None:
            return
        device = self.random.device
        parts = [self.critic.features(to_unit(cells.to(device))) for cells in torch.split(self.cells, SAMPLE)]
        self.norm.fold_into(self.critic.q_head, torch.cat(parts))
        self.norm = None

    def _critic_step(self) -> tuple[Tensor, Tensor]:
        real = self._real(self.config.batch)
        with torch.no_grad():
            fake, _ = self._fake()
        mix = torch.rand(len(real), generator=self.random, device=fake.device)

        def part(rows: slice) -> list[Tensor]:
            return self._critic_gradients(real[rows], fake[rows], mix[rows], weight=len(mix[rows]) / len(mix))

        parts = self.workers.map(part, self.workers.bounds(len(real)))
        wasserstein, penalty, *gradients = add_up(parts)
        _update(self.d_optimizer, self.d_parameters, gradients)
        return wasserstein, penalty

    def _critic_gradients(self, real: Tensor, fake: Tensor, mix: Tensor, weight: float) -> list[Tensor]:
        """Both terms of D's loss on part of a batch, times the part's weight, and the gradients of their sum."""
        scores = self.critic.score(torch.cat((real, fake)))  # no batch norm: one pass is two
        wasserstein = weight * losses.critic_loss(scores[: len(real)], scores[len(real) :])
        penalty = weight * losses.gradient_penalty(self.critic.score, real, fake, mix)
        loss = wasserstein + self.config.lambda_gradient * penalty
        return [wasserstein.detach(), penalty.detach(), *torch.autograd.grad(loss, self.d_parameters)]

    def _generator_step(self) -> Tensor:
        fake, _ = self._fake()
        features = Features(self.workers, self.critic.features, fake)
        loss = losses.generator_loss(self.critic.d_head(features.joined))
        (of_features,) = torch.autograd.grad(loss, features.joined)
        of_fake, _ = features.gradients(of_features, [])
        _update(self.g_optimizer, self.g_parameters, torch.autograd.grad(fake, self.g_parameters, of_fake))
        return loss

    def _info_step(self) -> tuple[Tensor, Tensor]:
        """Q on generated cells and, where they have a weight, on real ones."""
        fake, classes = self._fake()
        made = Features(self.workers, self.critic.features, fake)
        normed = made.joined if self.norm is None else self.norm.of_generated(made.joined)
        info = losses.info_loss(self.critic.log_classes_of(normed), classes)
        of_features, *of_head = torch.autograd.grad(self.config.lambda_info * info, (made.joined, *self.q_head))
        of_fake, of_trunk = made.gradients(of_features, self.trunk)
        of_generator = torch.autograd.grad(fake, self.g_parameters, of_fake)
        gradients = [*of_trunk, *of_head]
        real_info = torch.zeros_like(info)
        if self.config.lambda_real > 0:
            real_info, of_real = self._real_info()
            gradients = add_up((gradients, of_real))
        _update(self.q_optimizer, self.q_parameters, [*of_generator, *gradients])
        return info, real_info

    def _real_info_step(self) -> Tensor:
        """Q on real cells alone."""
        real_info, gradients = self._real_info()
        _update(self.q_optimizer, self.q_parameters, [*[None] * len(self.g_parameters), *gradients])
        return real_info

    def _real_info(self) -> tuple[Tensor, list[Tensor]]:
        """Mutual information on a batch of real cells, and the weighted gradients of trunk and Q head."""
        count = self.config.real_batch
        cells = self._draw(count)
        views = torch.cat([augment(cells, self.config.augment, self.random) for _ in range(2)])
        features = Features(self.workers, self.critic.features, views)
        normed = features.joined if self.norm is None else self.norm.of_real(features.joined)
        answers = self.critic.log_classes_of(normed)
        loss = losses.real_info_loss(answers[:count], answers[count:], self.config.spread)
        of_features, *of_head = torch.autograd.grad(self.config.lambda_real * loss, (features.joined, *self.q_head))
        _, of_trunk = features.gradients(of_features, self.trunk)
        return loss, [*of_trunk, *of_head]

    def _draw(self, count: int) -> Tensor:
        rows = torch.randint(len(self.cells), (count,), generator=self.pick, device=self.cells.device)
        return self.cells[rows].to(self.random.device, non_blocking=True)

    def _real(self, count: int) -> Tensor:
        return augment(self._draw(count), self.config.augment, self.random)

    def _fake(self) -> tuple[Tensor, Tensor]:
        """Generated patches and their classes, from the uniform prior."""
        config, device = self.config, self.random.device
        noise = torch.randn(config.batch, config.noise_dim, generator=self.random, device=device)
        classes = torch.randint(config.classes, (config.batch,), generator=self.random, device=device)
        return self.generator(noise, F.one_hot(classes, config.classes).float()), classes

    def _adam(self, parameters: list[nn.Parameter], rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(parameters, rate, (self.config.beta1, self.config.beta2), fused=True)

    def _set_rates(self) -> None:
        """Let the learning rates fall linearly towards zero, where the settings say so."""
        if not self.config.anneal:
            return
        left = 1.0 - self.steps_done / self.config.steps
        for optimizer in (self.d_optimizer, self.g_optimizer, self.q_optimizer):
            optimizer.param_groups[0]["lr"] = left * optimizer.defaults["lr"]


def _update(optimizer: torch.optim.Adam, parameters: list[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """One step; parameters without a gradient stay as they are."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # fused Adam walks through memory: a channels-last gradient of a contiguous weight would be read scrambled
        parameter.grad = None if gradient is None else gradient.contiguous()
    optimizer.step()


def _initialised(config: GanConfig, patch_px: int, seed: int) -> tuple[Generator, Critic]:
    """Networks with He's normal weights (ICCV 2015) and zero biases; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        generator, critic = Generator(config, patch_px), Critic(config)
    random = torch.Generator().manual_seed(seed)
    for module in (*generator.modules(), *critic.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=random)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return generator, critic
