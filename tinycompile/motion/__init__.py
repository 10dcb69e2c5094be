"""Front ends in front of models of motion: samples of accelerometers and gyroscopes to windows."""
