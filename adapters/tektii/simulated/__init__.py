"""A gateway for tests: ours, whole, with a market behind it and a line in front that can break."""
