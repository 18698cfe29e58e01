"""What is recorded, told to people: words and figures that the command line and the viewer share."""
