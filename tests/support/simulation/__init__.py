"""The real engine and core on virtual time: network, store, participants and clients simulated, all from one seed."""
