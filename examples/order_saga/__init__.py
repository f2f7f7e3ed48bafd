"""The specification's order saga: create order, reserve inventory, process payment, confirm order.

Four participants in processes of their own, each with its own SQLite database, and payloads in protobuf.
``saga`` is the definition; ``demo`` runs it through failures and checks the databases afterwards.
"""
