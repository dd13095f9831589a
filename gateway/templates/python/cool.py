"""What the hook does, apart from the interface, so that it is tested natively."""


def cooled(asked: object, most: float) -> object:
    """The temperature to send in place of the one that was asked for, if any."""
    is_number = isinstance(asked, (int, float)) and not isinstance(asked, bool)
    return most if is_number and asked > most else asked
