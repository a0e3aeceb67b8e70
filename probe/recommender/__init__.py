"""From a Machine to answers: what fits, what is best, what to change."""
