"""Distil recommendation data into many sizes, compare each, and gather results/recommendation.json.

    python benchmarks/recommendation.py ml-100k-50x50-free ml-1m-100x50-free --data-folder ../shared/data
    python benchmarks/recommendation.py ml-100k-250x10-free --student gru4rec --student.weight_decay 0.3
    python benchmarks/recommendation.py --gather

See benchmarks/cases.py for what a case is.
"""

from cases import Cases, main

RECOMMENDATION = Cases(
    name="recommendation",
    files={
        "ml-100k": "ml-100k/u.data",
        "amazon-magazine": "amazon-magazine/Magazine_Subscriptions.csv",
        "ml-1m": "ml-1m/sasrec",
    },
    options=(),
    kept=(
        "ml-100k-10x10-free",
        "ml-100k-20x5-free",
        "ml-100k-50x10-free",
        "ml-100k-50x50-free",
        "ml-100k-250x10-free",
        "ml-100k-100x5-next",
        "amazon-magazine-10x5-free",
        "amazon-magazine-25x20-free",
        "ml-1m-400x5-free",
        "ml-1m-500x10-free",
    ),
)

if __name__ == "__main__":
    main(RECOMMENDATION, __doc__)
