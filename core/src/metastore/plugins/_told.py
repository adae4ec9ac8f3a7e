"""What a stranger's error says: its text is made by code of the stranger's."""

from __future__ import annotations

__all__ = ["told"]


def told(error: BaseException) -> str:
    """Class and text on one line, not too long; the class alone where the text cannot be had."""
    name = type(error).__name__
    try:
        text = str(error)
    # Whatever that code raises.
    except BaseException:  # noqa: BLE001 - see above
        return name
    return f"{name}: {text}".splitlines()[0][:200] if text else name
