"""Where the body is: pose, frame and the green mask."""
