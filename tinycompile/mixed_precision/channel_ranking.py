"""In which order a layer can do without input channels, and what its other weights then make up for.

The results of a layer change least where its remaining weights are those of least squares: with the second moment M of
its operands, without their means, and its weights W, removing channel c costs

    tr(W_c [(M^-1)_cc]^-1 W_c^T)

and the other weights become W - W_c [(M^-1)_cc]^-1 (M^-1)_c. Channels go one by one, the cheapest first, and M^-1 is
that of the channels that are left. The bias takes the mean of what is missing.

Sources: B. Hassibi et al., "Optimal Brain Surgeon and General Network Pruning", ICNN 1993, for single weights;
E. Kurtic et al., "ZipLM", NeurIPS 2023, section 3.1, for groups of them; Y. He et al., "Channel Pruning for
Accelerating Very Deep Neural Networks", ICCV 2017, for channels and least squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.ir import Array
from tinycompile.mixed_precision.fitting import LARGEST_DEPTH, LEAST_POWER, Operands, hold_of, means, rows_of
from tinycompile.mixed_precision.network import Layer, Parameters


class Reader:
    """A layer that loses input channels one by one.

    Attributes:
        weight: what the power of an error of its results counts, in the outputs' terms.
    """

    def __init__(self, layer: Layer, operands: Operands, weight: float = 1.0) -> None:
        """Beyond `LARGEST_DEPTH` weights stay, and channels cost their own power.

        Args: operands: of one group, as `fitting.windows_of` has them: channels are what changes fastest."""
        self.layer, self.operands, self.weight = layer, operands, weight
        self._rows: Array = rows_of(layer)[0].astype(np.float64)
        depth = int(self._rows.shape[1])
        products: Array = np.arange(depth)
        self._columns: Array = products.reshape(-1, layer.sig.input.shape[-1]).swapaxes(0, 1)
        moment = operands.moment[0].astype(np.float64)
        self._moment: Array = moment
        hold = hold_of(operands) * max(float(moment.trace()) / depth, LEAST_POWER)
        identity: Array = hold * np.eye(depth)
        self._inverse: Array | None = np.linalg.inv(moment + identity) if depth <= LARGEST_DEPTH else None

    @property
    def power(self) -> float:
        """Of the layer's own results, without their mean."""
        own = rows_of(self.layer)[0].astype(np.float64)
        return max(float(np.einsum("op,op->", own @ self._moment, own)), LEAST_POWER)

    def costs(self, left: Array) -> Array:
        """float64: by how much the power of the results' error grows without each of these channels.

        Args:
            left: channels that are still there.
        """
        columns = self._columns[left]
        rows = self._rows[:, columns]  # (outputs, channels, products of each)
        if self._inverse is None:
            inner: Array = self._moment[columns[:, :, None], columns[:, None, :]]
        else:
            inner = np.linalg.inv(self._inverse[columns[:, :, None], columns[:, None, :]])
        return np.einsum("ock,ock->c", np.einsum("ock,ckl->ocl", rows, inner), rows)

    def remove(self, channel: int) -> None:
        """Without this channel: the others make up for it."""
        columns = self._columns[channel]
        if self._inverse is not None:
            part: Array = self._inverse[:, columns] @ np.linalg.inv(self._inverse[np.ix_(columns, columns)])
            self._rows -= self._rows[:, columns] @ part.transpose()
            self._inverse -= part @ self._inverse[columns]
        self._rows[:, columns] = 0.0

    @property
    def parameters(self) -> Parameters:
        """What is left, with a bias that makes up for what is missing on average."""
        weights = self._rows.astype(np.float32)
        missing = means(self.layer, self.layer.own.weights, self.operands.mean)
        return Parameters(weights, self.layer.own.bias + missing - means(self.layer, weights, self.operands.mean))


def cheapest(readers: Sequence[Reader], left: Array) -> int:
    """The channel without which all readers together lose least."""
    costs = sum(reader.weight * reader.costs(left) for reader in readers)
    return int(left[int(np.argmin(costs))])
