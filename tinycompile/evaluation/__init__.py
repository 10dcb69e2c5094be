"""`tinycompile evaluate`: how good a build is on labelled samples."""
