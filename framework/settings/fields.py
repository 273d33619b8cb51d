"""What a struct of the settings says when one of its own values makes no sense."""

from decimal import Decimal

from framework.model.decimals import ZERO


class FieldError(ValueError):
    """A value of `field` makes no sense; the decoder turns it into a `ConfigError` at its key."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def require_positive(field: str, value: Decimal | None) -> None:
    """Raise `FieldError` unless `value` is None or finite and above zero."""
    if value is not None and (not value.is_finite() or value <= ZERO):
        raise FieldError(field, f"must be above zero, and is {value}")
