"""The command `serve`: a detector as an HTTP service, with the page that judges images in the browser."""
