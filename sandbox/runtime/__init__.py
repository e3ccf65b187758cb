"""The process runtime: pods of known images are played by local processes, the way a kubelet would run them."""
