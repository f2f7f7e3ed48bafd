"""The gRPC face: ``handlers`` say what each call does, ``errors`` how a refusal looks, ``server`` how it is served."""
