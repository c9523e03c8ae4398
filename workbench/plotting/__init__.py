"""House style of figures, and the pictures of one trial."""
