"""Face vectors and emotion stories, as the replaced IoT server spoke them."""
