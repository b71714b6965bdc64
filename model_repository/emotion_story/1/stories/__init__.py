"""The engines that tell a story, and what they tell it from."""
