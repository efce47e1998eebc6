"""The Transformer encoder layer (Vaswani et al., NIPS 2017) that SV-Mixer is compared with (Table I)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import StudentConfig
from svmixer.models.students.mixer import ChannelMlp

HEAD_WIDTH = 64


class SelfAttention(nn.Module):
    """Attention of all frames to all frames, in heads of 64 channels, with norm and residual."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        # A hidden size under 64 or between its multiples gets the widest heads up to 64 that divide it.
        self.width = max(width for width in range(1, HEAD_WIDTH + 1) if hidden % width == 0)
        self.norm = nn.LayerNorm(hidden)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``, residual included."""
        u = self.norm(x)
        query, key, value = (self._heads(linear(u)) for linear in (self.query, self.key, self.value))
        dropout = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)  # (B, heads, T, width)
        return x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (-1, self.width)).transpose(1, 2)


class TransformerLayer(nn.Module):
    """Self-attention, then a feed-forward part of width 2 H; layer norms in front of both.

    There is no position embedding: the order of the frames is known to the front end alone.
    """

    def __init__(self, config: StudentConfig, last: bool) -> None:
        super().__init__()
        self.attention = SelfAttention(config.hidden, config.dropout)
        self.feed_forward = ChannelMlp(config.hidden, 2 * config.hidden, 0.0 if last else config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.feed_forward(self.attention(x))
