"""What can be added from outside, through the door that the built-ins use too."""
