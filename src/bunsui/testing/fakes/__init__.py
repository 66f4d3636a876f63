"""Stand-ins for what bunsui is built on: a clock, a store, and a service at the other end of a network."""
