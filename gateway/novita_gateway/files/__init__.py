"""Files beside the jobs: their routes, and the folder that keeps them."""
