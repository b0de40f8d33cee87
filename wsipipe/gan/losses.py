"""Losses of the three networks, as pure functions of scores and probabilities."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Wasserstein part of D's loss: E[D(G(z, c))] - E[D(x)] of scores (n,)."""
    return fake_scores.mean() - real_scores.mean()


def gradient_penalty(score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """E[(||grad D(x-hat)||_2 - 1)^2], x-hat on the lines between real and generated patches.

    Gulrajani et al., NeurIPS 2017, equation 3. Differentiable in the parameters of `score`.

    Parameters
    ----------
    score : callable
        D, from (n, ...) to (n,).
    real, fake : Tensor (n, ...)
        The ends of the lines.
    mix : Tensor (n,)
        Place on each line, uniform in [0, 1]: 1 is real.
    """
    weight = mix.view(-1, *[1] * (real.dim() - 1))
    between = torch.lerp(fake.detach(), real.detach(), weight).requires_grad_()
    (gradient,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norm - 1.0).square().mean()


def generator_loss(fake_scores: Tensor) -> Tensor:
    """G's loss: -E[D(G(z, c))] of scores (n,)."""
    return -fake_scores.mean()


def info_loss(log_classes: Tensor, classes: Tensor) -> Tensor:
    """-E[log Q(c | G(z, c))]: Chen et al., NeurIPS 2016, equation 5, without the constant H(c).

    Parameters
    ----------
    log_classes : Tensor (n, k)
        Q's log-probabilities for generated patches.
    classes : Tensor int64 (n,)
        The classes they were generated from.
    """
    return F.nll_loss(log_classes, classes)


def real_info_loss(log_view_a: Tensor, log_view_b: Tensor, spread: float = 1.0) -> Tensor:
    """Minus the mutual information of Q's soft answers to two views of the same real cells.

    Ji et al., ICCV 2019 (IIC), equation 3: P = E[p_a p_b^T], made symmetric; I = H(rows) + H(columns) - H(P).
    High when both views get one answer and the answers spread over the classes.

    Parameters
    ----------
    log_view_a, log_view_b : Tensor (n, k)
        Q's log-probabilities; row i of both is one cell.
    spread : float
        Weight of the two marginal entropies (1 is equation 3; above 1 classes are pushed towards equal shares,
        as in the authors' published code).
    """
    joint = log_view_a.exp().T @ log_view_b.exp() / len(log_view_a)
    joint = ((joint + joint.T) / 2).clamp_min(torch.finfo(joint.dtype).tiny)  # 0 log 0 = 0, with a gradient
    marginal = joint.sum(1)
    return 2.0 * spread * torch.xlogy(marginal, marginal).sum() - torch.xlogy(joint, joint).sum()


def taught_loss(log_classes: Tensor, lessons: Tensor) -> Tensor:
    """Cross-entropy of Q's answers (n, k) to real cells with the probabilities (n, k) that they were taught."""
    return -(lessons * log_classes).sum(1).mean()


def measured_loss(told: Tensor, measured: Tensor) -> Tensor:
    """Huber's error of the descriptions (n, d) that the trunk tells; both standardized."""
    return F.smooth_l1_loss(told, measured)
