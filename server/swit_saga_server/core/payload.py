"""A value on its way through a saga: opaque to the coordinator, written and read by the SDK's codecs."""

from swit_saga_server.core.record import record


@record(frozen=True, slots=True)
class Payload:
    """An encoded value.

    Attributes:
        content_type: Media type of ``data``, for example ``application/json``. Never empty.
        data: Text stays text, so that grpcurl and humans can read it; anything else is bytes.
    """

    content_type: str
    data: str | bytes

    @property
    def size(self) -> int:
        """Bytes of content, the content type not counted."""
        data = self.data
        return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())

    def __repr__(self) -> str:
        """Without the data: a repr ends up in logs."""
        return f"<Payload {self.content_type}, {self.size} bytes>"
