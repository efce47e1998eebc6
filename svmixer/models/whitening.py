"""Within-speaker whitening of embeddings (WCCN: Hatch et al., Interspeech 2006), fitted in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError


class Whitening(nn.Module):
    """``(x − mean) · matrix``: directions in which a speaker's own embeddings scatter count less.

    Part of the model but not trained by its loss: :meth:`fit` sets it from embeddings of training speakers.
    It starts as the identity.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("matrix", torch.eye(dim))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, D)`` → ``(B, D)``."""
        return (x - self.mean) @ self.matrix

    @torch.no_grad()
    def fit(self, embeddings: Tensor, labels: Tensor, shrinkage: float) -> None:
        """Set mean and matrix from embeddings ``(N, D)`` of the speakers ``labels (N,)``.

        The scatter W within speakers, pooled over all, is shrunk to (1 − λ) W + λ c V, where λ is
        ``shrinkage``, V the diagonal of the variances of all embeddings, and c the mean share of them that
        lies within speakers: what each dimension's unit is does not matter. With λ = 0 the covariance of the
        result within speakers is I.

        Raises:
            SvmixerError: every speaker has only one embedding, or the scatter is zero, not finite or, with
                too little shrinkage, singular.
        """
        # On the CPU, where sums come in one order: the same matrix on every process and in every run.
        x, labels = embeddings.double().cpu(), labels.cpu()
        speakers, index = labels.unique(return_inverse=True)
        counts = torch.bincount(index).double()
        sums = torch.zeros(len(speakers), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, index, x)
        centred = x - (sums / counts[:, None])[index]
        freedom = len(x) - len(speakers)
        if freedom < 1:
            raise SvmixerError(f"whitening: each of {len(speakers)} speakers has one embedding only")
        scatter = centred.T @ centred / freedom
        if not 0 < scatter.trace() < float("inf"):
            raise SvmixerError("whitening: the scatter within speakers is zero or not finite")
        total = x.var(dim=0)
        # A dimension that does not vary must not end as a division by zero.
        total = total.clamp(min=1e-12 * total.mean())
        level = (scatter.diagonal() / total).mean()
        identity = torch.eye(len(scatter), dtype=x.dtype, device=x.device)
        shrunk = (1 - shrinkage) * scatter + shrinkage * level * total.diag()
        # shrunk = C Cᵀ, so C⁻¹ x has unit covariance; for rows that is x · C⁻ᵀ.
        root, failed = torch.linalg.cholesky_ex(shrunk)
        if failed:
            raise SvmixerError(
                f"whitening: {len(x)} embeddings do not fill their {len(shrunk)} dimensions: it takes more "
                f"whiten.crops, or a whiten.shrinkage above {shrinkage:g}"
            )
        self.matrix.copy_(torch.linalg.solve_triangular(root, identity, upper=False).T)
        self.mean.copy_(x.mean(dim=0))
