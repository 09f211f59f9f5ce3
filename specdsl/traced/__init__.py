"""Numbers that remember how they came about, and the expressions in which they do."""
