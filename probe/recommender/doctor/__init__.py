"""What is broken or wasted on a machine, by theme, and what each fix would change."""
