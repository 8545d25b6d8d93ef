"""From real data to a summary, in one call; in a folder that keeps it, or without."""

import math
from dataclasses import replace
from pathlib import Path

from farzi.devices import find_device
from farzi.distill.checkpoint import Checkpoints, locked
from farzi.distill.loop import OuterLoop, Progress
from farzi.distill.meta_matching import MetaMatching
from farzi.distill.metrics import MetricsFile, read_metrics
from farzi.distill.objective import Objective
from farzi.distill.ranks import joined, own_device
from farzi.distill.settings import claim
from farzi.distill.size import Size
from farzi.distill.watch import Watch
from farzi.distill.work import Work
from farzi.evaluation import task_of
from farzi.events import EventData, TextData
from farzi.files import write_json
from farzi.models import SequenceModel
from farzi.summary import Summary
from farzi.training import Teachers, TrajectoryStore, Workers


def distill(
    data: EventData | TextData,
    *,
    model: SequenceModel | None = None,
    size: Size = Size(),
    objective: Objective = MetaMatching(),
    loop: OuterLoop = OuterLoop(),
    teachers: Teachers | None = None,
    judges: int = 2,
    seed: int = 0,
    run: str | Path | None = None,
    resume: bool = False,
    store: TrajectoryStore | None = None,
    workers: int = 1,
    device: str = "cpu",
    watch: Watch = Watch(),
) -> Summary:
    """Learn a summary of a data set (Farzi Data; Sachdeva et al., 2023, arXiv 2310.09983).

    Teachers are trained on the full data, real sequences that stand for the others are labelled with their expectations
    and factorised, and the outer loop improves the factors. Test events are never looked at.

    Processes that torchrun has started do so together, each of which has to call this with the same arguments: inner
    runs are each one's own and their gradients are averaged, teachers and judges are shared out. The summary depends on
    how many they are. Rank 0 alone writes and tells.

    Args:
        data: real sequences, whose last two events are held out, or a text in three parts.
        model: the teachers; the students are the same with as short a memory as the summary's sequences. None takes
            SASRec, and for text a Transformer.
        size: of the summary.
        objective: what the outer loop follows.
        loop: how it does so.
        teachers: models trained on the full data; None takes four, trained as such data asks for.
        judges: students trained for each judgement on validation data.
        seed: of everything that is drawn; teachers have seeds from 0 on.
        run: folder for summary, checkpoint and record; None keeps nothing on disk.
        resume: go on from the folder's checkpoint.
        store: where trained teachers are kept; the user's cache folder by default.
        workers: processes that train teachers and judges, side by side; see :class:`farzi.training.Workers`. Each
            process that torchrun started has so many.
        device: where everything is computed, as torch names it, such as ``cuda``, which is a GPU of its own for each
            process that torchrun started on a machine.
        watch: told how far it is.

    Returns:
        the summary that did best on validation data, on the CPU.

    Raises:
        InputError: the data cannot be split, the model cannot read the length, the folder is in use, holds a finished
            or another run, or cannot be written, the gradients are not finite, torch cannot compute on the device, or
            another of the processes was given something else or has ended.
    """
    found = find_device(own_device(device))
    task = task_of(data, found)
    with joined(found) as ranks, Workers(workers) as pool:
        work = Work(
            task,
            model or task.default_model,
            size,
            objective.suited(size.sequences, size.length),
            ranks.broadcast(loop),
            teachers or Teachers(training=task.full_data),
            judges,
            seed,
            store or TrajectoryStore(),
            pool,
            watch if ranks.index == 0 else Watch(),
            task.judging,
            ranks=ranks,
        )
        work.check()
        if run is None:
            work.watch.begin()
            return work.in_time().summarise(Checkpoints())[0]
        checkpoints = Checkpoints(path=Path(run) / "checkpoint.pt", resume=resume)
        if ranks.index > 0:
            return work.in_time().summarise(checkpoints)[0]
        return _in_folder(Path(run), work, checkpoints)


def _in_folder(folder: Path, work: Work, checkpoints: Checkpoints) -> Summary:
    """Do the work and keep it, its checkpoints and its record in a run folder."""
    with locked(folder):
        claim(folder, work.settings(), checkpoints.resume)
        work.watch.begin()
        path = folder / "metrics.jsonl"
        metrics = MetricsFile(path)
        told = work.watch.progress

        def progress(now: Progress) -> None:
            metrics.add(now)
            told(now)

        work = replace(work, watch=replace(work.watch, progress=progress)).in_time(folder / "budget.json")
        summary, record = work.summarise(checkpoints)
        before = (now.peak_mb for now in read_metrics(path))  # what it took before it was resumed counts, too
        record["peak_mb"] = max([record["peak_mb"], *filter(math.isfinite, before)])
        summary.save(folder / "summary.safetensors")
        write_json(folder / "run.json", record)
    return summary
