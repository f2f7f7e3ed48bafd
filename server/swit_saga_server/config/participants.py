"""The section ``participants``: where each is."""

from pydantic import Field

from swit_saga_server.config.section import MAX_COUNT, Count, Section, TargetAddress


class ParticipantConfig(Section):
    """Where a participant is, and how much it is asked at a time."""

    address: TargetAddress
    stream: bool = True
    max_concurrent_steps: Count = Field(default=0, ge=0, le=MAX_COUNT)
