"""The participant SDK: step handlers in plain Python, served over gRPC or called in process."""
