"""Optimizers of the training recipes: Muon for matrices, AdamW for all other parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def orthogonalize(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Map matrices to (almost) the nearest semi-orthogonal ones by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalized updates for matrices (Jordan et al. 2024), decoupled weight decay."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        transposed: bool = False,
    ) -> None:
        """Take matrices [outputs, inputs], or [inputs, outputs] if ``transposed`` (GPT-2's Conv1D)."""
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "transposed": transposed}
        super().__init__(list(params), defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update every matrix; matrices of one shape are orthogonalized together."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    shapes.setdefault(param.shape, []).append(param)
            for same in shapes.values():
                self._update(same, group)

    def _update(self, params: list[nn.Parameter], group: dict[str, Any]) -> None:
        """Update matrices of one shape."""
        lr, momentum, weight_decay = group["lr"], group["momentum"], group["weight_decay"]
        grads = []
        for param in params:
            state = self.state[param]
            buffer = state.setdefault("momentum", torch.zeros_like(param))
            assert param.grad is not None
            buffer.lerp_(param.grad, 1 - momentum)
            grads.append(param.grad.lerp(buffer, momentum))
        updates = orthogonalize(torch.stack(grads))
        outputs, inputs = reversed(params[0].shape) if group.get("transposed") else params[0].shape
        scale = max(1.0, outputs / inputs) ** 0.5
        for param, update in zip(params, updates, strict=True):
            param.mul_(1 - lr * weight_decay)
            param.add_(update, alpha=-lr * scale)


class Optimizers:
    """Muon for the matrices inside the blocks, AdamW for everything else, one rate factor for both."""

    def __init__(
        self,
        model: nn.Module,
        muon: dict[str, Any],
        adam: dict[str, Any],
        block_prefixes: tuple[str, ...] = ("encoder.layer", "transformer.h", ".encoder.layer"),
    ) -> None:
        matrices, decayed, rest = [], [], []
        for name, param in model.named_parameters():
            if param.ndim == 2 and any(prefix in name for prefix in block_prefixes):
                matrices.append(param)
            elif param.ndim >= 2:
                decayed.append(param)
            else:
                rest.append(param)
        decay = adam.pop("weight_decay", 0.0)
        groups = [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        self.parts: list[torch.optim.Optimizer] = [
            Muon(matrices, **muon),
            torch.optim.AdamW(groups, **adam),
        ]
        self.base = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def step(self, factor: float) -> None:
        """Apply one update with every base learning rate multiplied by ``factor`` and clear the gradients."""
        for part, rates in zip(self.parts, self.base, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of both optimizers."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Restore the state of both optimizers."""
        for part, value in zip(self.parts, state, strict=True):
            part.load_state_dict(value)
