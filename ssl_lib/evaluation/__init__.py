"""From predictions to scores, result files, intervals and tests."""
