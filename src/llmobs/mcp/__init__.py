"""
What is stored, for agents: the questions as tools of the Model Context Protocol, answered as text.

Whatever was recorded is the words of others, and agents follow words: an answer holds them between marks
that they cannot close, and says that they are data.
"""
