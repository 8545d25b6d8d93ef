"""The one error that is the user's to mend."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence that names the file, row, field or option and says what would be right. The command
    line prints it without a traceback and ends with exit code 2.
    """
