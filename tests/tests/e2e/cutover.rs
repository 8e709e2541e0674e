//! From manifests to Scores and back on a live device: what is on it does not move.
