"""The loop: inbox -> decide -> commit -> effects. ``loop`` is the heart; ``engine`` puts the parts together."""
