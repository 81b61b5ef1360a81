"""Templates of the page: `page.html.j2` is the frame, every other file one section of it."""
