"""The programs that make the load, one per contestant. Each reads a line of JSON per round, and answers with one."""
