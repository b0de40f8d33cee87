"""One training: networks, optimizers, cells, and the three kinds of step."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipipe.config import GanConfig
from wsipipe.gan import losses
from wsipipe.gan.augment import augment
from wsipipe.gan.nets import Critic, Generator

METRICS = ("critic", "penalty", "generator", "info", "real_info")
"""What `Trainer.metrics` holds: Wasserstein part of D's loss, gradient penalty, and the losses of G and Q."""


class Trainer:
    """State of a training on one device.

    Parameters
    ----------
    cells : uint8 Tensor (n, s, s, 3)
        Training patches, on `device` or, when they do not fit there, on the CPU.
    config : GanConfig
    seed : int
        Names every random number; weights are drawn on the CPU, so that they begin alike on every device.
    device : {"cpu", "cuda"}
    """

    def __init__(self, cells: Tensor, config: GanConfig, seed: int, device: str) -> None:
        self.config, self.cells = config, cells
        self.generator, self.critic = _initialised(config, cells.shape[1], seed)
        self.generator.to(device)
        self.critic.to(device)
        self.random = torch.Generator(device).manual_seed(seed)
        self.pick = torch.Generator(cells.device).manual_seed(seed + 1)
        trunk, d_head, q_head = (
            list(p.parameters()) for p in (self.critic.trunk, self.critic.d_head, self.critic.q_head)
        )
        self.d_parameters = [*trunk, *d_head]
        self.g_parameters = list(self.generator.parameters())
        self.q_parameters = [*self.g_parameters, *trunk, *q_head]
        self.d_optimizer = self._adam(self.d_parameters)
        self.g_optimizer = self._adam(self.g_parameters)
        self.q_optimizer = self._adam(self.q_parameters)
        self.metrics = torch.zeros(len(METRICS), device=device)

    def step(self) -> None:
        """One generator step of the paper: D `critic_steps` times, then G, then Q.

        Adds the step's losses to `metrics`, on the device: nothing waits for a GPU.
        """
        for _ in range(self.config.critic_steps):
            critic, penalty = self._critic_step()
        generator = self._generator_step()
        info, real_info = self._info_step()
        self.metrics += torch.stack((critic, penalty, generator, info, real_info)).detach()

    def _critic_step(self) -> tuple[Tensor, Tensor]:
        real = self._real(self.config.batch)
        with torch.no_grad():
            fake, _ = self._fake()
        scores = self.critic.score(torch.cat((real, fake)))  # no batch norm: one pass is two
        wasserstein = losses.critic_loss(*scores.chunk(2))
        mix = torch.rand(len(real), generator=self.random, device=fake.device)
        penalty = losses.gradient_penalty(self.critic.score, real, fake, mix)
        loss = wasserstein + self.config.lambda_gradient * penalty
        _update(self.d_optimizer, loss, self.d_parameters)
        return wasserstein, penalty

    def _generator_step(self) -> Tensor:
        fake, _ = self._fake()
        loss = losses.generator_loss(self.critic.score(fake))
        _update(self.g_optimizer, loss, self.g_parameters)
        return loss

    def _info_step(self) -> tuple[Tensor, Tensor]:
        fake, classes = self._fake()
        info = losses.info_loss(self.critic.log_classes(fake), classes)
        real_info = torch.zeros_like(info)
        if self.config.lambda_real > 0:
            cells = self._draw(self.config.real_batch)
            views = torch.cat([augment(cells, self.config.augment, self.random) for _ in range(2)])
            real_info = losses.real_info_loss(*self.critic.log_classes(views).chunk(2))
        loss = self.config.lambda_info * info + self.config.lambda_real * real_info
        _update(self.q_optimizer, loss, self.q_parameters)
        return info, real_info

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

    def _adam(self, parameters: list[nn.Parameter]) -> torch.optim.Adam:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(parameters, self.config.learning_rate, betas, fused=True)


def _update(optimizer: torch.optim.Adam, loss: Tensor, parameters: list[nn.Parameter]) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=parameters)  # the other networks' gradients are not even computed
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
