"""One folder per foreign protocol; siblings never import each other."""
