"""When to stop, without labels: the moment at which both of Q's opinions agree most on cells it was not taught."""

import copy

import torch
from torch import Tensor, nn

from wsipipe.gan.augment import to_unit
from wsipipe.gan.averages import Averages
from wsipipe.gan.nets import Critic
from wsipipe.gan.standardize import EPSILON

MOST_ASIDE = 1024
"""Cells that are kept aside, of a tenth of all."""

AT_ONCE = 128


def kept_aside(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of `count` cells that a training keeps aside to judge itself on, and the others; int64, ascending."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    aside = min(MOST_ASIDE, max(2, count // 10))
    return order[:aside].sort().values, order[aside:].sort().values


class Best:
    """Copy of a critic's tensors at the best moment so far; G's drawings gain by going on.

    Two views that hardly depend on one another, the patch and the description, teach each other what is right where
    they agree (Blum and Mitchell, COLT 1998); how often they do is seen without any label.

    Attributes
    ----------
    agreement, step : Tensor ()
        Share of the cells aside with one class by both opinions at that moment, and which step it was.
    """

    def __init__(self, critic: nn.Module, device: str) -> None:
        self._tensors = list(critic.state_dict().values())
        self._kept = [tensor.clone() for tensor in self._tensors]
        self.agreement = torch.tensor(-1.0, device=device)
        self.step = torch.tensor(0, device=device)

    @torch.no_grad()
    def offer(self, agreement: Tensor, step: int, averages: Averages | None) -> None:
        """Take the present weights (their averages, the critic's last, where there are any) if they are better."""
        if bool(agreement <= self.agreement):
            return
        self.agreement.copy_(agreement)
        self.step.fill_(step)
        present = averages.means[-len(self._kept) :] if averages else self._tensors
        for kept, tensor in zip(self._kept, present, strict=True):
            kept.copy_(tensor)

    @torch.no_grad()
    def copy_into(self) -> None:
        """Put what is kept in the critic's place."""
        for tensor, kept in zip(self._tensors, self._kept, strict=True):
            tensor.copy_(kept)


@torch.no_grad()
def agreement(critic: Critic, averages: Averages | None, cells: Tensor, known: Tensor, standardize: bool) -> Tensor:
    """Share of cells to which Q gives one class from the patch as from the description.

    Parameters
    ----------
    critic : Critic
        Left as it is.
    averages : Averages, optional
        Of the generator's and then the critic's weights, which are judged instead.
    cells : uint8 Tensor (n, s, s, 3)
    known : float Tensor (n, k)
        Probabilities of the classes from the descriptions.
    standardize : bool
        Whether Q's head takes standardized features.
    """
    judged = copy.deepcopy(critic)
    if averages is not None:
        state = judged.state_dict()
        for name, mean in zip(state, averages.means[-len(state) :], strict=True):
            state[name].copy_(mean)
    features = torch.cat([judged.features(to_unit(part)) for part in torch.split(cells, AT_ONCE)])
    if standardize:
        variance, mean = torch.var_mean(features, 0)
        features = (features - mean) * (variance + EPSILON).rsqrt()
    return (judged.log_classes_of(features).argmax(1) == known.argmax(1)).float().mean()
