"""
What can be asked of a store, and what is answered: plain data, for pages, JSON and agents alike.

A question is a function of the store and of what was asked; nothing here knows HTML, HTTP or a framework.
Where a key is for one project, that project bounds every answer: nothing tells that others are there.
"""
