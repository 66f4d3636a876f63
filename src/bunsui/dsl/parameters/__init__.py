"""Parameters and inputs: what a declaration may say, and the values that it takes."""
