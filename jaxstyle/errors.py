"""The one exception that means: what was handed in cannot be used."""


class InputError(ValueError):
    """Bad input, told in one line: which file or option, what is wrong with it, what to do.

    The command turns it into that line and exit code 2.

    Examples:
        >>> raise InputError("photo.jpg: is empty; choose another file")
        Traceback (most recent call last):
        jaxstyle.errors.InputError: photo.jpg: is empty; choose another file
    """
