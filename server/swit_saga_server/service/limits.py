"""How large what is sent may be."""

from swit_saga_server.core.errors import PayloadTooLarge
from swit_saga_server.core.limits import MESSAGE_EXTRA_BYTES, MIN_MESSAGE_BYTES
from swit_saga_server.core.payload import Payload
from swit_saga_server.core.record import record


@record(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes: ``payload`` of one payload, ``definition`` of one encoded definition."""

    payload: int = 1 << 20
    definition: int = 1 << 20

    @property
    def message(self) -> int:
        """The most that one message to a caller has: two of the largest values, and what goes with them.

        Only a single value that came in under a larger limit is given whatever its size.
        """
        return max(MIN_MESSAGE_BYTES, 2 * max(self.payload, self.definition) + MESSAGE_EXTRA_BYTES)

    def check_payload(self, payload: Payload | None) -> None:
        """Return if a saga's initial data may be as large as that.

        Raises:
            PayloadTooLarge.
        """
        if payload is not None and payload.size > self.payload:
            raise PayloadTooLarge(f"initial_data has {payload.size} bytes; at most {self.payload}", limit=self.payload)

    def check_definition(self, size: int) -> None:
        """Return if an encoded definition may have ``size`` bytes.

        Raises:
            PayloadTooLarge.
        """
        if size > self.definition:
            raise PayloadTooLarge(f"the definition has {size} bytes; at most {self.definition}", limit=self.definition)
