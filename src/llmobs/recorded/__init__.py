"""What is recorded: ids, words, values, messages, in a form that can be kept."""
