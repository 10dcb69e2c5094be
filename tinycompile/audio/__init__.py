"""Audio front ends in front of spectrogram models: `build --frontend micro` (docs/audio.md)."""
