"""The image and the chart: what is shipped, rendered, built and run."""
