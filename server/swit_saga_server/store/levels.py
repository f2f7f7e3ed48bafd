"""Levels: how coordinators of several versions share one store while they are upgraded one by one.

A *level* is what a version reads and writes: the fields of records and inbox messages, the members of their enums, the
words that scripts read. It is a number. Every coordinator announces its ``LEVEL`` with each heartbeat; the *fleet
level* is the lowest of all that live (one that announces none counts as level 1). Four rules follow:

1. **What is stored is only ever appended to.** A new field goes to the end of its record and has an empty default; a
   new member goes to the end of its enum, a new class to the end of a union; ``SINCE`` says which level brought it.
   Nothing is moved, removed or given another meaning. Types of events are text, open to anything.
2. **None writes what another cannot read.** A value that needs a newer level than the fleet's is refused before
   anything is written (``NeedsNewerLevel``): by a check that is generated into the writers of lower levels
   (``layouts``), so that it costs nothing once all have been upgraded. A field that is empty is not written, so the
   older ones notice nothing until it is used.
3. **What is newer is left to others.** A coordinator of an older version that comes (back) later may meet newer
   records all the same. A record that is longer than it knows, or a member that it does not know, is ``NewerRecord``:
   refused with UNAVAILABLE, so that the client asks another coordinator. It is never taken for damage, never
   quarantined, never dropped from a list, never deleted for it.
4. **Beside the records.** SQLite takes its file forward by ordered migrations when it is opened, and an older version
   refuses the newer file. In Redis new things are new keys, new fields of hashes, or words appended to a line; the
   schema number changes only when that is not enough, and then an older version refuses it.

To bring something new: append it, add one to ``LEVEL``, and name it in ``SINCE``. The tests of ``tests/unit/store``
fail for what was appended without that.

Nothing is kept ready here for later versions: tables and columns come by a migration, keys come additively, and
what an older script would not respect (say, a cursor that holds the feed) is used only once the fleet's level says so.
"""

from collections.abc import Mapping

LOWEST = 1
"""The level of the first release; what one reads that does not say."""

LEVEL = 2
"""What this version reads, and writes once all that live read it."""

SINCE: Mapping[str, int] = {"Completed.error": 2}
"""Which level brought what: ``"StepState.held"`` for a field, ``"StepStatus.HELD"`` for a member of an enum, ``"Hold"``
for a class of a union. What is not named has been there from the first.
"""
