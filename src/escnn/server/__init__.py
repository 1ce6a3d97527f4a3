"""The same results over HTTP: an endpoint and a page on one's own machine."""
