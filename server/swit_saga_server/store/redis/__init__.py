"""State shared by any number of coordinators: Redis, standalone, by Sentinel or a Cluster.

``store`` puts it together. A file per port of the contract; beneath them ``connection`` (reaching it), ``failures``
(what its errors mean), ``checks`` (what is asked of it before it is trusted), ``scripts`` and the Lua files, ``keys``
(what is kept where), ``encode`` and ``decode`` (values to fields and back), ``query`` (the index walk of a listing).
"""
