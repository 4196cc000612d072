"""Published preprocessing, one module for each script that it reproduces."""
