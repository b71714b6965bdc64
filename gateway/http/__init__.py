"""What the services' HTTP has in common: how routes are declared, bodies read, answers shaped."""
