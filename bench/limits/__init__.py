"""What the project does under strain: each experiment measures against something of the same run."""
