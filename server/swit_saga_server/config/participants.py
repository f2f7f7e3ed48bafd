"""The section ``participants``: where each is."""

from pydantic import Field

from swit_saga_server.config.section import Section


class ParticipantConfig(Section):
    """Where a participant is, and how much it is asked at a time."""

    address: str = Field(min_length=1)
    stream: bool = True
    max_concurrent_steps: int = Field(default=0, ge=0)
