"""One training: networks, optimizers, cells, and the three kinds of step."""

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.gan import losses
from wsipipe.gan.augment import augment, to_unit
from wsipipe.gan.averages import Averages
from wsipipe.gan.best import Best, agreement, kept_aside
from wsipipe.gan.graph import Recorder, Repeated
from wsipipe.gan.lessons import Lessons
from wsipipe.gan.optimizers import adam, set_rates, update
from wsipipe.gan.parts import Features, Workers, add_up
from wsipipe.gan.piecewise import Piecewise
from wsipipe.gan.standardize import FeatureNorm, standardize_trunk
from wsipipe.gan.start import copy_start, initialised

METRICS = ("critic", "penalty", "generator", "info", "real_info", "taught", "measured")
"""What `Trainer.metrics` holds: Wasserstein part of D's loss, gradient penalty, losses of G and Q; on real cells
minus the mutual information, the error in what the mixture teaches, and that in the descriptions."""

PRIOR_MOMENTUM = 0.01
"""Of the running mean of Q's answers to real cells that the learned prior is."""

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
    lessons : Lessons, optional
        Needed where the settings give them a weight.
    start : mapping of str to Tensor, optional
        Tensors of a model of the same widths that G starts from, instead of random weights.
    recorder : Recorder, optional
        What records the steps and repeats them; the cells must then be on the device.
    """

    def __init__(
        self,
        cells: Tensor,
        config: GanConfig,
        seed: int,
        workers: Workers,
        lessons: Lessons | None = None,
        start: Mapping[str, Tensor] | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.config, self.cells, self.workers = config, cells, workers
        self.lessons = None if lessons is None else lessons.to(cells.device)
        device = workers.device
        self.generator, self.critic = initialised(config, cells.shape[1], seed)
        if start is not None:
            copy_start(start, self.generator)
        if self.critic.described is not None and lessons is not None:
            with torch.no_grad():
                self.critic.described.weight.copy_(lessons.weight)
                self.critic.described.bias.copy_(lessons.bias)
        for net in (self.generator, self.critic):
            move(net, device)
        self.random = torch.Generator(device).manual_seed(seed)
        self.pick = torch.Generator(cells.device).manual_seed(seed + 1)
        self.aside, self.taught_rows = (rows.to(cells.device) for rows in kept_aside(len(cells), seed))
        self.norm = FeatureNorm(self.critic.n_features, device) if config.standardize else None
        if self.norm is not None:
            standardize_trunk(self.critic, self._real(SAMPLE))
        self.prior = torch.full((config.classes,), 1.0 / config.classes, device=device)
        if config.learned_prior and lessons is not None:
            self.prior = lessons.classes.mean(0).to(device)
        self.trunk, self.q_head = list(self.critic.trunk.parameters()), list(self.critic.q_head.parameters())
        self.m_head = list(self.critic.m_head.parameters()) if self.critic.m_head is not None else []
        self.d_parameters = [*self.trunk, *self.critic.d_head.parameters()]
        self.g_parameters = list(self.generator.parameters())
        self.q_parameters = [*self.g_parameters, *self.trunk, *self.q_head, *self.m_head]
        rate, heads = config.learning_rate, [*self.trunk, *self.q_head, *self.m_head]
        recordable = recorder is not None
        self.d_optimizer = adam([(self.d_parameters, rate)], config, device, recordable=recordable)
        self.g_optimizer = adam([(self.g_parameters, rate)], config, device, recordable=recordable)
        # G follows Q no faster than D: with Q's rate it would please Q alone and draw noise
        groups = [(self.g_parameters, rate), (heads, config.info_learning_rate)]
        self.q_optimizer = adam(groups, config, device, recordable=recordable)
        self.one_hot = torch.eye(config.classes, device=device)
        self.repeated = Repeated(recorder)
        self.steps_done = 0
        self.metrics = torch.zeros(len(METRICS), device=device)
        nets = (self.generator, self.critic)
        self.averages = Averages(nets, config.average) if config.average > 0 else None
        self.best = Best(self.critic, device) if config.checks else None

    @property
    def sees_real(self) -> bool:
        """Whether Q learns from real cells at all."""
        return max(self.config.lambda_real, self.config.lambda_teach, self.config.lambda_measure) > 0

    def step(self) -> None:
        """One generator step of the paper: D `critic_steps` times, then G, then Q `info_steps` times.

        Adds the step's losses to `metrics`, on the device: nothing waits for a GPU.
        """
        if self.config.anneal:
            set_rates(self._optimizers(), 1.0 - self.steps_done / self.config.steps)
        self.repeated(self.on_device, (self.random, self.pick))
        self.steps_done += 1
        if self.averages is not None:
            self.averages.update(self.steps_done)
        self._check()

    def on_device(self) -> None:
        """All of a step that the device computes: the same operations on the same tensors every time."""
        for _ in range(self.config.critic_steps):
            critic, penalty = self._critic_step()
        generator = self._generator_step()
        info, on_real = self._info_step()
        if self.sees_real:
            for _ in range(self.config.info_steps - 1):
                on_real = self._real_info_step()
        self.metrics += torch.stack((critic, penalty, generator, info, *on_real)).detach()

    @torch.no_grad()
    def finish(self) -> None:
        """Leave in the networks all that Q needs: averaged weights, and standardized features in its linear layer."""
        if self.averages is not None:
            self.averages.copy_into()
        if self.best is not None:
            self.best.copy_into()
        if self.norm is None:
            return
        device = self.workers.device
        parts = [self.critic.features(to_unit(cells.to(device))) for cells in torch.split(self.cells, SAMPLE)]
        features = torch.cat(parts)
        for head in (self.critic.q_head, self.critic.m_head):
            if head is not None:
                self.norm.fold_into(head, features)
        self.norm = None

    def _check(self) -> None:
        """Judge the present weights on the cells aside, at the moments that the settings ask for."""
        if self.best is None or self.lessons is None:
            return
        every = -(-self.config.steps // self.config.checks)
        if self.steps_done % every and self.steps_done != self.config.steps:
            return
        device = self.workers.device
        cells, known = self.cells[self.aside].to(device), self.lessons.classes[self.aside].to(device)
        found = agreement(self.critic, self.averages, cells, known, self.config.standardize)
        self.best.offer(found, self.steps_done, self.averages)

    def _critic_step(self) -> tuple[Tensor, Tensor]:
        real = self._real(self.config.batch)
        with torch.no_grad():
            fake, _ = self._fake()
        mix = torch.rand(len(real), generator=self.random, device=fake.device)

        def part(rows: slice) -> list[Tensor]:
            return self._critic_gradients(real[rows], fake[rows], mix[rows], weight=len(mix[rows]) / len(mix))

        parts = self.workers.map(part, self.workers.bounds(len(real)))
        wasserstein, penalty, *gradients = add_up(parts)
        update(self.d_optimizer, self.d_parameters, gradients)
        return wasserstein, penalty

    def _critic_gradients(self, real: Tensor, fake: Tensor, mix: Tensor, weight: float) -> list[Tensor]:
        """Both terms of D's loss on part of a batch, times the part's weight, and the gradients of their sum."""
        scores = self.critic.score(torch.cat((real, fake)))  # no batch norm: one pass is two
        wasserstein = weight * losses.critic_loss(scores[: len(real)], scores[len(real) :])
        penalty = weight * self.penalty(real, fake, mix)
        loss = wasserstein + self.config.lambda_gradient * penalty
        return [wasserstein.detach(), penalty.detach(), *torch.autograd.grad(loss, self.d_parameters)]

    def penalty(self, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
        """Gradient penalty; on a CPU by PyTorch's own second derivatives, to which its models owe their bits."""
        with nullcontext() if self.workers.device == "cpu" else Piecewise():
            return losses.gradient_penalty(self.critic.score, real, fake, mix)

    def _generator_step(self) -> Tensor:
        fake, _ = self._fake()
        features = Features(self.workers, self.critic.features, fake)
        loss = losses.generator_loss(self.critic.d_head(features.joined))
        (of_features,) = torch.autograd.grad(loss, features.joined)
        of_fake, _ = features.gradients(of_features, [])
        update(self.g_optimizer, self.g_parameters, torch.autograd.grad(fake, self.g_parameters, of_fake))
        return loss

    def _info_step(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Q on generated cells and, where they have a weight, on real ones."""
        fake, classes = self._fake()
        made = Features(self.workers, self.critic.features, fake)
        normed = made.joined if self.norm is None else self.norm.of_generated(made.joined)
        info = losses.info_loss(self.critic.log_classes_of(normed), classes)
        of_features, *of_head = torch.autograd.grad(self.config.lambda_info * info, (made.joined, *self.q_head))
        of_fake, of_trunk = made.gradients(of_features, self.trunk)
        of_generator = torch.autograd.grad(fake, self.g_parameters, of_fake)
        shared: list[Tensor] = [*of_trunk, *of_head]
        of_measures: list[Tensor | None] = [None] * len(self.m_head)
        on_real: tuple[Tensor, ...] = (torch.zeros_like(info),) * 3
        if self.sees_real:
            on_real, of_real = self._on_real()
            shared = add_up((shared, of_real[: len(shared)]))
            of_measures = [*of_real[len(shared) :]]
        update(self.q_optimizer, self.q_parameters, [*of_generator, *shared, *of_measures])
        return info, on_real

    def _real_info_step(self) -> tuple[Tensor, ...]:
        """Q on real cells alone."""
        on_real, gradients = self._on_real()
        update(self.q_optimizer, self.q_parameters, [*[None] * len(self.g_parameters), *gradients])
        return on_real

    def _on_real(self) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Losses on two views of a batch of real cells, and the weighted gradients of trunk and heads.

        The losses are minus the mutual information, the error in the taught classes and that in the descriptions.
        """
        rows = self._rows(self.config.real_batch)
        cells = self._cells(rows)
        views = torch.cat([augment(cells, self.config.augment, self.random) for _ in range(2)])
        features = Features(self.workers, self.critic.features, views)
        normed = features.joined if self.norm is None else self.norm.of_real(features.joined)
        found = self._real_losses(rows, normed)
        weights = (self.config.lambda_real, self.config.lambda_teach, self.config.lambda_measure)
        loss = torch.stack([weight * value for weight, value in zip(weights, found, strict=True) if weight > 0]).sum()
        of_features, *of_heads = torch.autograd.grad(loss, (features.joined, *self.q_head, *self.m_head))
        _, of_trunk = features.gradients(of_features, self.trunk)
        return found, [*of_trunk, *of_heads]

    def _real_losses(self, rows: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """The three losses, of features (2 n, n_features) of two views of the cells `rows` (n,)."""
        answers = self.critic.log_classes_of(features)
        count = len(rows)
        info = losses.real_info_loss(answers[:count], answers[count:], self.config.spread)
        if self.config.learned_prior:
            self.prior.lerp_(answers.detach().exp().mean(0), PRIOR_MOMENTUM)
        if self.lessons is None:
            return info, torch.zeros_like(info), torch.zeros_like(info)
        device = features.device
        taught = losses.taught_loss(answers, self.lessons.classes[rows].to(device).repeat(2, 1))
        told = self.critic.m_head(features) if self.critic.m_head is not None else None
        values = self.lessons.values[rows].to(device).repeat(2, 1)
        measured = torch.zeros_like(info) if told is None else losses.measured_loss(told, values)
        return info, taught, measured

    def _rows(self, count: int) -> Tensor:
        if not self.config.checks:
            return torch.randint(len(self.cells), (count,), generator=self.pick, device=self.cells.device)
        place = torch.randint(len(self.taught_rows), (count,), generator=self.pick, device=self.cells.device)
        return self.taught_rows[place]

    def _cells(self, rows: Tensor) -> Tensor:
        return self.cells[rows].to(self.workers.device, non_blocking=True)

    def _real(self, count: int) -> Tensor:
        return augment(self._cells(self._rows(count)), self.config.augment, self.random)

    def _fake(self) -> tuple[Tensor, Tensor]:
        """Generated patches and their classes, from the prior."""
        config, device = self.config, self.workers.device
        noise = torch.randn(config.batch, config.noise_dim, generator=self.random, device=device)
        if config.learned_prior:
            prior = self.prior.nan_to_num(1.0)  # the next report tells of losses that are no numbers
            classes = torch.multinomial(prior, config.batch, replacement=True, generator=self.random)
        else:
            classes = torch.randint(config.classes, (config.batch,), generator=self.random, device=device)
        return self.generator(noise, self.one_hot[classes]), classes

    def _optimizers(self) -> tuple[torch.optim.Adam, ...]:
        return self.d_optimizer, self.g_optimizer, self.q_optimizer


def move(net: nn.Module, device: str) -> None:
    """Put a network on a device; on a GPU its weights lie channels last, as patches do, or each use turns them over."""
    net.to(device)
    if device != "cpu":
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
