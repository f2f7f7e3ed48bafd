"""Ways to reach participants: in this process (``local``), by ``unary`` calls, by a batched ``stream``.

``router`` picks by name. Each of them keeps its sends in a ``ledger``, and reaches a remote participant by a
``connection``: the real one is ``grpc_connection``.
"""
