"""Train one Config and score it. Knows nothing of Ray, MLflow, spaces, search or reports."""
