"""Random models of quantised operators (ONNX's QLinear ones, com.microsoft's, dynamic ones) against onnxruntime.

`python -m tests.reliability.qoperators --seeds 0 200`
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import imported
from tests.support.random_qoperators import KINDS, TOLERANCES, RandomQOperators


def difference(kind: str, seed: int) -> str:
    """Where a model of this kind is neither onnxruntime's nor that of exact sums; "" if nowhere.

    Raises:
        UnsupportedError: it is refused.
    """
    network = RandomQOperators(kind, seed)
    model = network.build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph, _ = imported(model, floats="islands")
    return Agreement(model, graph, TOLERANCES.get(kind, 0.0)).difference(network.feeds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 200))
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    arguments = parser.parse_args()
    wrong = 0
    for kind in arguments.kinds:
        counts = Counter[str]()
        for seed in range(*arguments.seeds):
            try:
                found = difference(kind, seed)
            except Exception as error:  # all failures of a run at once
                found = f"{type(error).__name__}: {str(error).strip()[:300]}"
            counts["differs" if found else "equal"] += 1
            if found:
                print(f"{kind} {seed}: {found}", flush=True)
        print(kind, ", ".join(f"{count} {what}" for what, count in counts.items()), flush=True)
        wrong += counts["differs"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
