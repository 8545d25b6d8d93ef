"""The examples do what they say, and records become tables."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def example(name: str, folder: str = "examples") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(ROOT / folder) not in sys.path:  # as where it is run as a script
        sys.path.append(str(ROOT / folder))
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [path.stem for path in (ROOT / "examples").glob("*.py")])
def test_an_example_is_short(name):
    assert len((ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 120


def test_one_gradient_through_500_steps_tells_most_flipped_labels():
    """Where it is zero or wrong, the area under the curve is about one half, and the accuracy stays."""
    found = example("noisy_labels").main(outer_steps=1)
    assert found["auc"] > 0.9
    assert found["accuracy_learned"] > found["accuracy_equal"] + 0.05


@pytest.mark.slow
def test_learned_weights_train_nearly_as_well_as_clean_labels():
    found = example("noisy_labels").main()
    assert found["auc"] > 0.98
    assert found["accuracy_learned"] > max(0.95, found["accuracy_equal"] + 0.08)


def test_three_gradients_through_500_steps_make_a_schedule_better_than_constant_rates():
    """Rates start at 0.03, which is in the grid: wrong gradients make them worse than that."""
    numbers, rates = example("learned_schedule").main(outer_steps=3, test_seeds=2)
    assert numbers["loss_learned"] < 0.8 * numbers["loss_constant"]
    assert rates.shape == (500,)
    assert rates[-1] < rates.max() / 2


@pytest.mark.slow
def test_a_learned_schedule_halves_the_loss_of_the_best_constant_rate():
    numbers, rates = example("learned_schedule").main()
    assert numbers["loss_learned"] < 0.5 * numbers["loss_constant"]
    assert rates[-1] < rates.max() / 10


def test_the_study_of_adjoints_becomes_tables_and_unknown_records_become_nothing():
    results = example("results", "docs")
    row = {"way": "exact", "start": 0, "steps": 10, "seed": 0, "status": "ok", "norm": {"examples": 1234, "weights": 2}}
    folded = row | {"way": "folded", "cosine": {"examples": 0.5}, "relative_error": {"examples": 0.123}}
    failed = row | {"way": "unstep", "status": "NonFiniteError"}
    text = results.rendered({"rows": [row, folded, folded | {"seed": 1}, failed]})
    line = "| 0 | 10 | 2 | 1200 | not run | 0.12; cosine 0.5 | not run | 1 of 1 not finite | not run |"
    assert line in text.splitlines()
    assert [results.rendered(record) for record in ({}, [], {"rows": [{"steps": 1}]}, [{"steps": 1}], {"a": 1})] == [
        None
    ] * 5


def test_the_picture_of_the_demo_is_of_its_record():
    record = json.loads((ROOT / "results" / "demo.json").read_text(encoding="utf-8"))
    assert record[-1]["commit"] in (ROOT / "docs" / "_static" / "demo.svg").read_text(encoding="utf-8")


def test_quarters_and_losses_become_tables():
    results = example("results", "docs")
    names = ("HR@10", "nDCG@10", "HR@100", "nDCG@100", "AUC")
    full, half = ({name: {"mean": mean, "std": 0.01} for name in names} for mean in (0.5, 0.25))
    quarter = {"case": "films", "by": "item", "quarter": 1, "least": 3, "most": 1200}
    lines = results.rendered([quarter | {"metrics": {"full": full, "farzi": half}}]).splitlines()
    assert "| 3 to 1,200 |" + " 50.0 | 0.50 |" * 5 in lines
    rows = [{"case": "films", "loss": "BPR", "method": "full", "metrics": full, "seconds": 9.6}]
    rows.append(rows[0] | {"method": "farzi", "metrics": {**full, "AUC": half["AUC"]}, "seconds": 1.2})
    *_, first, second = results.rendered(rows).splitlines()
    assert first == "| BPR | all events |" + " 50.00 ± 1.00 |" * 5 + " 1.000 | 10 |"
    assert second == "| BPR | the summary |" + " 50.00 ± 1.00 |" * 4 + " 25.00 ± 1.00 | 0.500 | 1 |"


def test_fine_tuning_becomes_a_table():
    metrics = {"perplexity": {"mean": 5.0, "std": 0.25}, "accuracy": {"mean": 0.5, "std": 0.01}}
    row = {"case": "plays", "start": "other text", "method": "nothing", "metrics": metrics, "seconds": 9.6}
    row |= {"training": {"lr": 0.003, "chosen_steps": [50, 100]}}
    rows = [row, row | {"method": "farzi"}, row | {"start": "scratch", "method": "full"}]
    *_, first, second, third = example("results", "docs").rendered(rows).splitlines()
    values = "5.000 ± 0.250 | 50.00 ± 1.00 |"
    assert first == f"| scratch | all of it | {values} 0.003 | 50, 100 | 10 |"
    assert second == f"| other text | nothing more | {values}  |  |  |"
    assert third == f"| other text | the summary | {values} 0.003 | 50, 100 | 10 |"


def test_the_benchmark_becomes_tables():
    results = example("results", "docs")
    shape = {"vocab": 1349, "sequences": 50, "dim": 32}
    row = {"contender": "farzi", "replay": "Tree", "steps": 10, "batch": 10, "dtype": "float32", "shape": shape}
    row |= {"zero_moments": False, "status": "ok", "ms_per_step": 12.3, "peak_mib": 401.7}
    failed = row | {"contender": "higher", "replay": "", "steps": 100, "status": "out of memory (8 GiB)"}
    others = [row | {"dtype": "float64"}, row | {"zero_moments": True}, row | {"shape": shape | {"dim": 64}}]
    record = {"rows": [row, failed, *others], "length": 50, "speedup_vs_higher": 2.25, "speedup_vs_higher_eager": None}
    record |= {"machine": {"cpu": "A CPU", "threads": 2, "torch": "2.13.0"}, "commit": "c0ffee"}
    ratios = {"head gradient": 1.25, "head hvp": 1.5, "model gradient": 1.75, "model hvp": 2.0}
    record["matmul_floor"] = {name: {"ratio": ratio} for name, ratio in ratios.items()}
    quick = results.rendered({**record, "command": "python benchmarks/metagrad.py --quick"})
    lines = results.rendered({**record, "command": "python benchmarks/metagrad.py"}).splitlines()
    assert lines[0] == "*A CPU, 2 threads, torch 2.13.0, commit c0ffee.*"
    assert "| output head, over its bare products | 1.25 | 1.50 |" in lines
    assert lines[: len(quick.splitlines())] == quick.splitlines()
    assert "Tree" not in quick
    assert "| `higher` 0.2.1 | 2.25 | not run |" in lines
    assert "| farzi, `Tree` | 12; 402 | not run |" in lines
    assert "| higher | not run | out of memory (8 GiB) |" in lines
    assert sum("Tree" in line for line in lines) == 1
