"""Where sagas are kept. ``contract`` is the law; every backend keeps it and passes ``tests/contract/store``."""
