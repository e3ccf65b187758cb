"""The sandbox's operator catalog: packages and CRDs as data, and the generator of the file-based catalog."""
