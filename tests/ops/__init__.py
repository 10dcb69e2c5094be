"""Every operator against LiteRT's reference kernels, through the frontend."""
