"""`farzi train`: a model from scratch, or one trained before, trained on a summary."""

from pathlib import Path

from jsonargparse import ArgumentParser

from farzi.commands.base import Call, Command, add_quiet_option
from farzi.data_options import add_reading_options, read_data
from farzi.devices import find_device
from farzi.errors import InputError
from farzi.evaluation import check_fits, task_of
from farzi.files import check_writable
from farzi.models import build_model, shortened
from farzi.options import add_device_option, add_model_option
from farzi.printing import NEWS
from farzi.report import show_progress, watch_training
from farzi.summary import Summary, load
from farzi.training import Weights, advised, check_length, fit, load_weights, save_weights, with_assistants


def _add_train_options(parser: ArgumentParser) -> None:
    parser.add_argument("summary", type=str | Path, help="a summary's file")
    parser.add_argument("-o", "--output", type=str | Path, required=True, help="file of the trained model")
    parser.add_argument(
        "--start", type=str | Path | None, help="trained model to go on from, of the same events; else from scratch"
    )
    parser.add_argument(
        "--assistants",
        type=int,
        default=0,
        help="for a model of another kind than the summary's: so many of the summary's own kind are trained first, and "
        "write and label more sequences for it",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    add_device_option(parser)
    add_quiet_option(parser)
    parser.add_argument(
        "--data", type=str | Path | None, help="chooses the step on validation; else the card's advice counts"
    )
    add_reading_options(parser)
    add_model_option(parser)


def _train(call: Call) -> None:
    options, device, summary = call.options, find_device(call.options.device), load(call.options.summary)
    check_writable(options.output)
    if options.start is None:
        start, model = None, shortened(options.model or build_model(summary.card.model), summary.factors.length)
    else:
        start = _start(options.start, summary)
        model = start.model
        if options.model is not None:
            raise InputError("--start brings a model with it; leave out --model")
    check_length(summary, model)
    task, training, score = None, advised(summary), None
    if options.data is not None or options.text is not None:
        task = task_of(read_data(options, summary=summary), device)
        check_fits(summary, task, model)
        training = task.as_advised(summary.card.advice)
        score = task.score(model)
    with show_progress(NEWS, options.quiet) as show:
        observe = watch_training(show, task, training.steps)
        fitted = fit(
            model,
            summary if not options.assistants else with_assistants(summary, options.assistants, device=options.device),
            training,
            score,
            start=start.parameters if start else None,
            seed=options.seed,
            device=options.device,
            observe=observe,
        )
    save_weights(options.output, model, fitted.parameters, summary.vocabulary)
    reached = f", {task.headline} {task.format(fitted.score)} on validation data" if task else ""
    print(f"{options.output} is written: {model.name}, {fitted.steps} steps in {fitted.seconds:.1f} s{reached}")
    own = summary.card.model["name"]
    if model.name != own and not options.assistants and not options.quiet:
        NEWS.print(f"the summary was made with {own}; models of another kind may learn more with --assistants 2")


def _start(path: Path, summary: Summary) -> Weights:
    """A trained model of the summary's events."""
    start = load_weights(path)
    if start.vocabulary_fingerprint != summary.vocabulary.fingerprint:
        raise InputError(
            f"--start {path} was trained on other events than the {len(summary.vocabulary)} of the summary; give a "
            "model of the same vocabulary, or leave it out"
        )
    return start


TRAIN = Command("FILE -o MODEL", "Train a model on a summary.", _add_train_options, _train)
