"""Distil text into many sizes, compare each, and gather results/language.json.

    python benchmarks/language.py ptb-400x50-free-generated --data-folder ../shared/data
    python benchmarks/language.py ptb-400x50-free-generated --student gru --student.steps 3000
    python benchmarks/language.py --gather

See benchmarks/cases.py for what a case is.
"""

from cases import Cases, main

LANGUAGE = Cases(
    name="language",
    files={"ptb": "ptb", "tinyshakespeare": "tinyshakespeare/input.txt"},
    options=(
        *("--model", "transformer", "--size.rank", "62", "--teachers.count", "3", "--judges", "1"),
        *("--objective.lr", "0.007", "--objective.steps", "1000", "--objective.turns", "16"),
        *("--loop.lr", "0.003", "--loop.steps", "80", "--loop.evaluate_every", "40"),
    ),
    kept=("ptb-400x50-free-generated", "tinyshakespeare-400x50-free"),  # others read as text that may not be passed on
)

if __name__ == "__main__":
    main(LANGUAGE, __doc__)
