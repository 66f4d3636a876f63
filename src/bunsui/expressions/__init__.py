"""``${...}``: parse, check, evaluate. Pure."""
