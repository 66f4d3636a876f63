"""The pure state machine: an event goes in, actions come out. No I/O, no clock, no randomness."""
