"""Real processes, real faults, and a checker over what every side saw. ``make soak MINUTES=10``."""
