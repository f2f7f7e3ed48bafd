"""State in Redis: for production, shared by any number of coordinators."""
