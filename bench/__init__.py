"""Side by side with what a user would otherwise choose, in one run. See README.md here."""
