"""The one error a user can mend: printed as a sentence, exit code 2."""


class UserError(Exception):
    """Bad input. The message names the bad value, what was expected and what to do."""


def error_summary(text: str) -> str:
    """Returns the last line of a traceback."""
    return text.strip().splitlines()[-1]
