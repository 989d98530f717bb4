"""Reading large batches in processes of their own, so that another core does it; see `crew`."""
