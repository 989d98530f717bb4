"""What Tallybook does, one verb a file: each flow joins core rules with the ports it is given."""
