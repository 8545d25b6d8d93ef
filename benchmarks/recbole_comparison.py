r"""The full-data reference beside RecBole 1.2.1: the same split, every item ranked, both chosen on validation.

    python benchmarks/recbole_comparison.py export runs/recbole
    RECBOLE/bin/python benchmarks/recbole_comparison.py theirs runs/recbole
    python benchmarks/recbole_comparison.py ours runs/recbole
    python benchmarks/recbole_comparison.py record runs/recbole --json results/recbole.json

``export`` writes the prepared events as RecBole's atomic file, with positions for times, so that no tie can be ordered
anew. ``theirs`` trains RecBole's models by its own trainer, on its own batches, stopped by its own full-ranking
NDCG@100 on validation; it checks every training prefix and every held-out row against farzi's sequences. Then it ranks
the test events from the scores of all items (padding left out, ties against them), and ``record`` takes the metrics of
both from ranks with the same function. RecBole's own figures stand beside as a check. Every training is kept in the
folder: a command that is started again goes on where it was.

RecBole needs an environment of its own, which farzi does not enter::

    python3.11 -m venv RECBOLE
    RECBOLE/bin/pip install torch==2.13.0 numpy==1.26.4 pandas==2.2.3 scipy==1.13.1 scikit-learn==1.5.2 \
        tensorboard "setuptools<81" tqdm pyyaml tabulate texttable psutil colorlog==4.7.2 colorama==0.4.4
    RECBOLE/bin/pip install --no-deps recbole==1.2.1

- numpy below 2 and pandas below 3: RecBole uses names and in-place changes that later ones dropped.
- ray, thop, plotly and hyperopt are left out: only its ``quick_start`` and its search for settings import them.
- Its checkpoints hold more than tensors, which ``torch.load`` refuses since 2.6; they are read with
  ``weights_only=False`` here, its trainer does not load any.
- Importing its models turns torch's anomaly detection on (by a line in ``sine.py``), and that takes up to half of the
  time and more; it is turned off again. It changes no value.
- Its SASRec computes the last layer at all 50 positions, and then takes one. In training, ``LastPosition`` computes
  that one; loss and gradients are checked against RecBole's own before anything is trained. Evaluation is RecBole's.
- Data that is called ml-100k is read from RecBole's own copy, with settings of its own, whatever lies in the folder;
  here it has another name.
- It reads settings from ``sys.argv``, which is cleared.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

DATA = "ml-100k"
NAME = "events"
"""Of the data in RecBole, which reads a copy and settings of its own for any that is called ml-100k."""
LENGTH = 50
Settings = dict[str, Any]
Training = Callable[[str, Settings, int], tuple[dict[str, Any], Any]]
"""Trains a model with a seed; what is to be said of it, and its parameters."""


def grids() -> dict[str, list[Settings]]:
    """RecBole's settings, of the same sizes as ours."""
    layers = {"n_layers": 1, "n_heads": 1, "hidden_size": 32, "inner_size": 128}
    recurrent = {"num_layers": 1, "embedding_size": 32, "hidden_size": 64}

    def sasrec(batch: int, lr: float, dropout: float) -> Settings:
        rates = {"hidden_dropout_prob": dropout, "attn_dropout_prob": dropout}
        return {**layers, "train_batch_size": batch, "learning_rate": lr, **rates}

    def gru4rec(batch: int, lr: float, dropout: float) -> Settings:
        return {**recurrent, "train_batch_size": batch, "learning_rate": lr, "dropout_prob": dropout}

    return {
        "SASRec": [sasrec(512, 3e-3, 0.2), sasrec(512, 3e-3, 0.5), sasrec(512, 1e-3, 0.2)],
        "GRU4Rec": [gru4rec(512, 3e-3, 0.2), gru4rec(512, 3e-3, 0.4)],
    }


def export(folder: Path, path: str | None) -> None:
    """Write the events for RecBole, and as arrays to check against."""
    import farzi

    data = farzi.load_events(DATA, path=path)
    (folder / NAME).mkdir(parents=True, exist_ok=True)
    with (folder / NAME / f"{NAME}.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user in range(data.num_sequences):
            file.writelines(f"{user}\t{item}\t{at}\n" for at, item in enumerate(data.sequence(user)))
    np.savez(folder / "events.npz", events=data.events, offsets=data.offsets)
    print(f"{data.num_sequences} users, {data.vocab_size} items, {data.num_events} events")


def run(folder: Path, model: str, settings: Settings, seed: int, train: Training) -> dict[str, Any]:
    """Train, or take what was trained before."""
    name = "-".join([model, *(f"{value:g}" if isinstance(value, float) else str(value) for value in settings.values())])
    path = folder / f"{name}-{seed}.json"
    if not path.exists():
        began = time.monotonic()
        about, parameters = train(model, settings, seed)
        torch.save(parameters, path.with_suffix(".pt"))
        row = {"model": model, "settings": settings, "seed": seed, "seconds": time.monotonic() - began, **about}
        path.write_text(json.dumps(row))
        print(f"{row['valid']:.4f}  {row['seconds']:5.0f} s  {path.stem}", flush=True)
    return json.loads(path.read_text()) | {"file": str(path)}


def choose(folder: Path, model: str, grid: Iterable[Settings], seeds: int, train: Training) -> list[dict[str, Any]]:
    """Train the grid with one seed and the best point with the others; the runs of that point."""
    folder.mkdir(exist_ok=True)
    best = max((run(folder, model, settings, 0, train) for settings in grid), key=lambda row: row["valid"])
    return [run(folder, model, best["settings"], seed, train) for seed in range(seeds)]


def keep_test(row: dict[str, Any], test: Callable[[dict[str, Any], Any], dict[str, Any]]) -> None:
    """Look at the test set, once the choice is made."""
    path = Path(row["file"])
    if "ranks" not in row:
        found = row | test(row, torch.load(path.with_suffix(".pt"), weights_only=True))
        path.write_text(json.dumps(found))


class Check:
    """Compares RecBole's rows with the sequences that farzi made.

    Args:
        folder: of ``export``.
    """

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "events.npz") as arrays:
            self.events, self.offsets = arrays["events"], arrays["offsets"]

    def __call__(self, dataset: Any, first: int, last: int) -> None:
        """Every user's events from ``first`` to ``last`` (below 0: from the end) must be targets, once each."""
        rows = dataset.inter_feat
        users = dataset.id2token("user_id", rows["user_id"].numpy()).astype(int)
        items = np.array([-1, *dataset.id2token("item_id", np.arange(1, dataset.item_num)).astype(int)])
        assert dataset.item_num - 1 == len(np.unique(self.events)), "the items are not all candidates, or more are"
        histories, targets = items[rows["item_id_list"].numpy()], items[rows["item_id"].numpy()]
        starts, ends = self.offsets[:-1], self.offsets[1:]
        places = starts[users] + rows["timestamp"].numpy().astype(int)
        begins = np.maximum(starts[users], places - LENGTH)
        columns = np.arange(LENGTH)
        seen = self.events[np.minimum(begins[:, None] + columns, len(self.events) - 1)]
        seen[columns >= (places - begins)[:, None]] = -1
        assert np.array_equal(targets, self.events[places])
        assert np.array_equal(histories, seen)
        lows, highs = ((starts if at >= 0 else ends) + at for at in (first, last))
        wanted = np.concatenate([np.arange(low, high + 1) for low, high in zip(lows, highs, strict=True)])
        assert np.array_equal(np.sort(places), wanted)


class RecBole:
    """RecBole's pipeline, one training at a time.

    Args:
        folder: of ``export``.
        patience: passes without improvement after which training ends.
    """

    def __init__(self, folder: Path, patience: int) -> None:
        self.folder, self.patience = folder.resolve(), patience
        self.check = Check(folder)
        sys.argv = sys.argv[:1]
        from recbole.model.sequential_recommender import GRU4Rec, SASRec

        torch.autograd.set_detect_anomaly(False)
        logging.disable(logging.WARNING)

        class LastPosition(SASRec):
            """SASRec that, in training, computes its last layer where it is read."""

            def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
                if not self.training:
                    return super().forward(item_seq, item_seq_len)
                x = self.item_embedding(item_seq) + self.position_embedding.weight[: item_seq.shape[1]]
                x = self.dropout(self.LayerNorm(x))
                *before, last = self.trm_encoder.layer
                for layer in before:
                    x = layer(x, self.get_attention_mask(item_seq))
                part = last.multi_head_attention
                here = self.gather_indexes(x, item_seq_len - 1)[:, None]
                q, k, v = (
                    part.transpose_for_scores(of(at)).transpose(1, 2)
                    for of, at in ((part.query, here), (part.key, x), (part.value, x))
                )
                scores = (q @ k.mT / part.sqrt_attention_head_size).masked_fill(
                    (item_seq == 0)[:, None, None], -torch.inf
                )
                mixed = (part.attn_dropout(scores.softmax(-1)) @ v).transpose(1, 2).flatten(2)
                return last.feed_forward(part.LayerNorm(part.out_dropout(part.dense(mixed)) + here))[:, 0]

        self.classes = {"SASRec": LastPosition, "GRU4Rec": GRU4Rec}
        self.original = SASRec

    def prepare(self, model: str, settings: Settings, seed: int) -> tuple[Any, Any, Any]:
        """Configuration, batches of the three parts, and trainer."""
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.trainer import Trainer
        from recbole.utils import init_seed

        fixed = {
            "data_path": str(self.folder),
            "checkpoint_dir": str(self.folder / "checkpoints"),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "MAX_ITEM_LIST_LENGTH": LENGTH,
            "loss_type": "CE",
            "train_neg_sample_args": None,
            "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
            "metrics": ["Hit", "NDCG"],
            "topk": [10, 100],
            "valid_metric": "NDCG@100",
            "metric_decimal_place": 8,
            "stopping_step": self.patience,
            "epochs": 300,
            "use_gpu": False,
            "seed": seed,
        }
        config = Config(model=model, dataset=NAME, config_dict=fixed | settings)
        init_seed(seed, config["reproducibility"])
        parts = data_preparation(config, create_dataset(config))
        for part, (first, last) in zip(parts, ((1, -3), (-2, -2), (-1, -1)), strict=True):
            self.check(part._dataset, first, last)
        network = self.classes[model](config, parts[0]._dataset)
        return config, parts, Trainer(config, network)

    def train(self, model: str, settings: Settings, seed: int) -> tuple[dict[str, Any], Any]:
        """See ``Training``."""
        config, (train, valid, _), trainer = self.prepare(model, settings, seed)
        if model == "SASRec":
            self.check_gradients(config, train, trainer.model)
        curve: list[float] = []

        def observe(_: int, score: float) -> None:
            curve.append(score)
            print(f"    {len(curve)}: {score:.4f}", flush=True)

        trainer.fit(train, valid, verbose=False, callback_fn=observe)
        state = torch.load(trainer.saved_model_file, weights_only=False)["state_dict"]
        os.remove(trainer.saved_model_file)
        score = max(curve)
        return {"valid": score, "passes": curve.index(score) + 1, "curve": curve}, state

    def check_gradients(self, config: Any, train: Any, network: Any) -> None:
        """The shortcut must have the loss and the gradients of RecBole's own forward pass."""
        state = torch.get_rng_state()
        original = self.original(config, train._dataset)
        original.load_state_dict(network.state_dict())
        batch = train._dataset[np.arange(0, len(train._dataset), 997)]
        losses = []
        for one in (original, network):
            for part in one.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.train(False)
            losses.append(one.calculate_loss(batch))
            losses[-1].backward()
        pairs = list(zip(original.parameters(), network.parameters(), strict=True))
        scale = max(theirs.grad.abs().max() for theirs, _ in pairs)
        assert abs(losses[0] - losses[1]) < 1e-5
        assert all((theirs.grad - ours.grad).abs().max() < 1e-5 * scale for theirs, ours in pairs)
        network.zero_grad()
        torch.set_rng_state(state)

    def test(self, row: dict[str, Any], parameters: Any) -> dict[str, Any]:
        """Ranks of the test events, and what RecBole says."""
        _, (_, _, test), trainer = self.prepare(row["model"], row["settings"], row["seed"])
        trainer.model.load_state_dict(parameters)
        own = trainer.evaluate(test, load_best_model=False)
        ranks = np.zeros(len(self.check.offsets) - 1, dtype=int)
        with torch.no_grad():
            for rows, *_ in test:
                scores = trainer.model.full_sort_predict(rows)[:, 1:]
                beaten = (scores < scores.gather(1, rows["item_id"][:, None] - 1)).sum(1)
                users = test._dataset.id2token("user_id", rows["user_id"].numpy()).astype(int)
                ranks[users] = (scores.shape[1] - beaten).numpy()
        assert ranks.all()
        return {"ranks": ranks.tolist(), "own": {name: float(value) for name, value in own.items()}}


def theirs(folder: Path, models: list[str], seeds: int, patience: int) -> None:
    """Train and test RecBole's models."""
    recbole = RecBole(folder, patience)
    (folder / "theirs").mkdir(exist_ok=True)
    os.chdir(folder)  # it writes tensorboard's files to where it is
    names = ("recbole", "torch", "numpy", "pandas", "scipy")
    about = {"python": platform.python_version()} | {name: version(name) for name in names}
    Path("versions.json").write_text(json.dumps(about))
    for model in models:
        for row in choose(Path("theirs"), model, grids()[model], seeds, recbole.train):
            keep_test(row, recbole.test)


def ours(folder: Path, models: list[str], seeds: int, path: str | None) -> None:
    """Train and test farzi's models."""
    import farzi
    from farzi.evaluation.ranking import ranks
    from farzi.training import FULL_DATA, fit

    task = farzi.NextItem(farzi.load_events(DATA, path=path))
    kinds = {"SASRec": farzi.SASRec(), "GRU4Rec": farzi.GRU4Rec()}
    grid = {
        "SASRec": [{"lr": 3e-3, "dropout": dropout} for dropout in (0.1, 0.2)],
        "GRU4Rec": [{"lr": lr, "dropout": dropout} for lr in (3e-3, 1e-3) for dropout in (0.1, 0.2, 0.4)],
    }

    def train(name: str, settings: Settings, seed: int) -> tuple[dict[str, Any], Any]:
        model = kinds[name]
        fitted = fit(model, task.real(model), replace(FULL_DATA, **settings), task.score(model), seed=seed)
        return {"valid": fitted.score, "steps": fitted.steps, "curve": fitted.curve}, fitted.parameters

    def test(row: dict[str, Any], parameters: Any) -> dict[str, Any]:
        return {"ranks": ranks(kinds[row["model"]], parameters, task.splits.test).tolist()}

    for model in models:
        for row in choose(folder / "ours", model, grid[model], seeds, train):
            keep_test(row, test)


def record(folder: Path, path: str) -> None:
    """Gather what was trained."""
    from metagrad_contenders.summary import commit, machine

    from farzi.evaluation import ranking_metrics, spread
    from farzi.files import write_json

    with np.load(folder / "events.npz") as arrays:
        vocab_size = len(np.unique(arrays["events"]))
    rows, by_user = [], {}
    for by, place, length in (("recbole", "theirs", "passes"), ("farzi", "ours", "steps")):
        runs = [json.loads(file.read_text()) for file in sorted((folder / place).glob("*.json"))]
        for model in ("SASRec", "GRU4Rec"):
            points = [one for one in runs if one["model"] == model and one["seed"] == 0]
            best = max(points, key=lambda one: one["valid"], default={"settings": None})["settings"]
            tested = [one for one in runs if (one["model"], one["settings"]) == (model, best) and "ranks" in one]
            tested.sort(key=lambda one: one["seed"])
            if not tested:
                rows += [demo(model.lower())] if (by, model) == ("farzi", "SASRec") else []
                continue
            ranks = np.array([one["ranks"] for one in tested])
            found = [ranking_metrics(one, vocab_size) for one in ranks]
            by_user[by, model] = [ranking_metrics(one, vocab_size) for one in ranks.T]
            row = {
                "by": by,
                "model": model.lower(),
                "settings": best,
                "seeds": [one["seed"] for one in tested],
                "valid nDCG@100": [one["valid"] for one in tested],
                "metrics": {name: spread([one[name] for one in found]) for name in found[0]},
                length: [one[length] for one in tested],
                "seconds": statistics.mean(one["seconds"] for one in tested),
                "grid": [
                    {"settings": one["settings"], "valid nDCG@100": one["valid"], length: one[length]}
                    for one in sorted(points, key=lambda one: -one["valid"])
                ],
            }
            if by == "recbole":
                row["own metrics"] = {name: spread([one["own"][name] for one in tested]) for name in tested[0]["own"]}
            if by == "farzi" and ("recbole", model) in by_user:
                row["over recbole"] = gain(by_user[by, model], by_user["recbole", model])
            rows.append(row)
    write_json(
        path,
        {
            "recbole": json.loads((folder / "versions.json").read_text()),
            "farzi": {"python": platform.python_version()} | {n: version(n) for n in ("farzi", "torch", "numpy")},
            "dataset": DATA,
            "rows": rows,
            "command": "python benchmarks/recbole_comparison.py {export,theirs,ours,record} runs/recbole",
            "commit": commit(),
            "machine": machine(1),
        },
    )


def demo(model: str) -> dict[str, Any]:
    """The reference as it stands in the record of the demo, for where it was not trained anew."""
    known = json.loads((Path(__file__).parents[1] / "results" / "demo.json").read_text())
    full = next(row for row in known if (row["method"], row["student"], row["dataset"]) == ("full", model, DATA))
    steps = full["training"].pop("chosen_steps")
    return {
        "by": "farzi",
        "model": model,
        "from": "results/demo.json",
        "settings": full["training"],
        "seeds": list(range(len(steps))),
        "metrics": full["metrics"],
        "steps": steps,
        "seconds": full["cost"]["fit_full_s"],
    }


def gain(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    """By how much ours is higher, user by user (each a mean over seeds), with the standard error over users."""
    gains = {name: [one[name] - other[name] for one, other in zip(ours, theirs, strict=True)] for name in ours[0]}
    return {
        name: {"mean": statistics.mean(values), "error": statistics.stdev(values) / len(values) ** 0.5}
        for name, values in gains.items()
    }


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("export", "theirs", "ours", "record"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--path", help="of the data file; else it is found as farzi finds it")
    parser.add_argument("--models", nargs="+", choices=("SASRec", "GRU4Rec"), default=["SASRec", "GRU4Rec"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--patience", type=int, default=10, help="of RecBole, in passes; its default is 10")
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "export":
        export(options.folder, options.path)
    elif options.part == "theirs":
        theirs(options.folder, options.models, options.seeds, options.patience)
    elif options.part == "ours":
        ours(options.folder, options.models, options.seeds, options.path)
    else:
        record(options.folder, options.json)


if __name__ == "__main__":
    main()
