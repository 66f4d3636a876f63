"""The clauses of the store port as tests, by what they are about."""
