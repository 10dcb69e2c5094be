"""From a planned graph to C files: decide (`program`), then print (`emit`)."""
