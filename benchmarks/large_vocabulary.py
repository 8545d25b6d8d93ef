"""A meta-gradient through a hundred steps of training on a summary with a vocabulary of 50,000 events.

    python benchmarks/large_vocabulary.py --json results/large-vocabulary.json

SASRec is trained by Adam on generated soft sequences that stay in factors, and the loss of 32 generated real windows is
differentiated by the factors. In the record are seconds and the process's peak memory; Linux only.
"""

import argparse
import time
from typing import Any

import torch
from metagrad_contenders.problem import LR
from metagrad_contenders.processes import mib
from metagrad_contenders.summary import commit, machine

from farzi import SASRec
from farzi.distill.examples import InFactors, InnerLoss
from farzi.files import write_json
from farzi.metagrad import Adam, InnerRun, Layout, Segments
from farzi.models import Batch, sequence_loss
from farzi.summary import Factors

LENGTH, WINDOWS = 50, 32


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, default=50_000)
    parser.add_argument("--sequences", type=int, default=50)
    parser.add_argument("--batch", type=int, default=50, help="sequences a step")
    parser.add_argument("--dim", type=int, default=64, help="width of the model, and rank of the factors")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--json", help="file to write")
    options = parser.parse_args()
    report = {
        **vars(options),
        **measure(options),
        "machine": machine(0),
        "commit": commit(),
        "command": "python benchmarks/large_vocabulary.py",
    }
    print(report)
    if options.json:
        write_json(options.json, {name: value for name, value in report.items() if name != "json"})


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Differentiate once."""
    generator = torch.Generator().manual_seed(0)
    model = SASRec(dim=options.dim, max_length=LENGTH)
    latents, targets = (torch.randn(options.sequences, LENGTH, options.dim, generator=generator) for _ in range(2))
    decoder = torch.randn(options.dim, options.vocab, generator=generator)
    factors = Factors(latents=latents, targets=targets, decoder=decoder, temperature=options.dim**0.5)
    real = torch.randint(options.vocab, (WINDOWS, LENGTH + 1), generator=generator)
    schedule = torch.stack(
        [torch.randperm(options.sequences, generator=generator)[: options.batch] for _ in range(options.steps)]
    )
    parameters = model.init(options.vocab, seed=0)
    layout, shown = Layout.of(parameters), InFactors.of(factors)
    run = InnerRun(loss=InnerLoss(model, factors.temperature), layout=layout, replay=Segments())
    before, began = mib("VmRSS"), time.perf_counter()
    found = run.differentiate(
        lambda last: sequence_loss(model, last, Batch(real[:, :-1], real[:, 1:])),
        Adam().init(layout.flatten(parameters)),
        shown.examples,
        schedule,
        LR,
        shared=shown.shared,
    )
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "seconds_per_step": seconds / options.steps,
        "baseline_mib": before,
        "peak_mib": mib("VmHWM"),
        "outer_loss": found.value,
        "gradient_norms": {name: float(part.norm()) for name, part in (found.examples | found.shared).items()},
    }


if __name__ == "__main__":
    main()
