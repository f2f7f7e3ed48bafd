"""Which partition a saga belongs to."""

import zlib


def partition_of(saga_id: str, partitions: int) -> int:
    """The partition a saga belongs to, for ever: CRC-32 of the id's UTF-8 bytes modulo the number of partitions."""
    return zlib.crc32(saga_id.encode()) % partitions
