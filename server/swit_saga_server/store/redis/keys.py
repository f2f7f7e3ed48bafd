"""The keys. All of one partition share a hash tag, so that a script on them runs on one node of a Cluster.

========================  ========  ==================================================================================
key                       type      holds
========================  ========  ==================================================================================
``P{n}:lease``            hash      epoch, nonce, owner, expires; never expires itself, so that no epoch is used twice
``P{n}:saga:<id>``        hash      ``m``: a line with version, commit id, last sequence, state, due time, whether in
                                    flight, whether stuck and number of steps, with blanks between (later versions
                                    append words), and after the line the progress;
                                    ``o``: its origin; ``de``: the definition's id;
                                    ``lb``: the labels' indexes; ``s<i>``: a step. A transition writes ``m`` and the
                                    steps it changed
``P{n}:ev:<id>``          list      the saga's events; index + 1 is the sequence
``P{n}:due``              zset      ids by due time
``P{n}:fly``              zset      ids with a command out, all scored 0: in id order
``P{n}:feed``             stream    saga id and how many events, per transition; ids are the feed's positions; trimmed
``P{n}:pos``              string    the feed's latest position
``P{n}:in``               hash      inbox entries by id
``P{n}:inq``              zset      their ids, in the order they came
``P{n}:ans:<entry>``      string    the answer to an entry; expires
``P{n}:all``              zset      ids by creation time; ``:upd`` by the time of change; ``:st:<state>``,
                                    ``:def:<definition>``, ``:lab:<key>=<value>`` by creation time
``P{n}:inl:<digest>``     string    a definition that came with a saga of the partition
``P{n}:exp``              zset      ids of cleanly finished sagas by the time they ended
``P{n}:stuck``            zset      ids of quarantined sagas by creation time
``{d}:...``               various   definitions; who lives, and at which level; the store's own description
========================  ========  ==================================================================================
"""

from swit_saga_server.store.contract import partition_of


class Keys:
    """Names of keys under a prefix.

    Attributes:
        prefix: What every key begins with.
        partitions: For a new store; once it is open, the store's own.
    """

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions
        self.meta = f"{prefix}{{d}}:meta"
        self.living = f"{prefix}{{d}}:living"
        self.levels = f"{prefix}{{d}}:levels"
        self.definition_ids = f"{prefix}{{d}}:ids"
        self.hints = f"{prefix}hints"

    def of(self, partition: int) -> str:
        """What the keys of a partition begin with."""
        return f"{self.prefix}{{{partition}}}:"

    def partition_of(self, saga_id: str) -> int:
        """The partition a saga belongs to."""
        return partition_of(saga_id, self.partitions)

    def of_saga(self, saga_id: str) -> str:
        """What the keys of a saga's partition begin with."""
        return self.of(partition_of(saga_id, self.partitions))

    def lease(self, partition: int) -> str:
        """A hash; there is one in every partition, so it also says which node a script is for."""
        return f"{self.prefix}{{{partition}}}:lease"

    def name(self, owner: str) -> str:
        """A string that expires: which instance of a coordinator has the name."""
        return f"{self.prefix}{{d}}:name:{owner}"

    def definition(self, definition_id: str) -> str:
        """A hash: the versions of one id, and which digest has which."""
        return f"{self.prefix}{{d}}:def:{definition_id}"
