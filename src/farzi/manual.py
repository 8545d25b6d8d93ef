"""How each command is used: examples at the end of its help."""

from collections.abc import Mapping

from jsonargparse import DefaultHelpFormatter

EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "": {
        "farzi data list": "which data sets are known by name",
        "farzi distill ml-100k -o runs/mine --minutes 10": "a summary of one of them",
        "farzi evaluate runs/mine": "what it is worth",
    },
    "distill": {
        "farzi distill ml-100k -o runs/mine --minutes 10": "what can be had in ten minutes",
        "farzi distill events.csv --user customer --time date -o runs/own --sequences 100": "data of your own",
        "farzi distill --text notes.txt --tokenizer bpe -o runs/notes": "a text",
        "farzi distill ml-100k -o runs/mine --resume": "go on after an interruption",
        "farzi distill ml-100k --print_config > recipe.yaml": "a recipe to edit, and to pass back with --config",
    },
    "plan": {
        "farzi plan ml-100k": "memory and time of a distillation with the usual options",
        "farzi plan ml-100k --sequences 500 --memory_mb 4000": "of a larger one, in 4,000 MB",
    },
    "tune": {
        "farzi tune ml-100k -o runs/tuned --trials 20 --minutes 60": "search for better options for an hour",
        "farzi tune ml-100k -o runs/tuned --search loop.lr size.rank": "only for these two",
        "farzi distill --config runs/tuned/recipe.yaml -o runs/best": "make a run of the best",
    },
    "evaluate": {
        "farzi evaluate runs/mine": "compare a run with its baselines",
        "farzi evaluate runs/mine --model gru4rec -o runs/mine/result-gru4rec.json": "with another model",
        "farzi evaluate mine.safetensors --data events.csv": "a summary by itself",
    },
    "report": {
        "farzi report runs/mine": "write runs/mine/report.html",
        "farzi report runs/small runs/large -o both.html": "two runs side by side",
    },
    "train": {
        "farzi train mine.safetensors -o model.safetensors": "train as the summary's card advises",
        "farzi train mine.safetensors -o model.safetensors --data events.csv": "choose the step on validation data",
        "farzi train mine.safetensors -o new.safetensors --start model.safetensors": "go on from a trained model",
    },
    "inspect": {
        "farzi inspect runs/mine/summary.safetensors --sequence 3 --top 10": "the likeliest events of a sequence",
    },
    "export": {
        "farzi export runs/mine/summary.safetensors -o drawn.csv --draws 10": "ten hard ones for each sequence",
    },
    "data": {
        "farzi data list": "data sets known by name",
        "farzi data fetch ml-100k": "fetch one, and print where it is",
        "farzi data describe events.csv --min_count 3": "count what a file holds",
    },
    "data list": {"farzi data list": "names, contents and licences"},
    "data fetch": {"farzi data fetch ml-100k": "fetch it, and print where it is"},
    "data describe": {
        "farzi data describe ml-100k": "a data set known by name",
        "farzi data describe --text notes.txt --tokenizer char": "a text, by characters",
    },
}
"""By command: what to type, and what it does."""


def epilogue(command: str) -> str:
    """The end of a command's help.

    Args:
        command: its words; empty for the program itself.

    Returns:
        lines of text.
    """
    return "examples:\n" + "\n".join(f"  # {what}\n  {typed}" for typed, what in EXAMPLES[command].items())


class Formatter(DefaultHelpFormatter):
    """Lays help out; lines that are indented stay as they are, so that they can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(line if line.startswith(" ") else fill(line, width, indent) for line in text.split("\n"))
