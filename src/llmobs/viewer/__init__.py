"""
The pages of ``llmobs serve``: what the store holds, in a browser.

A page is a function of the store and of what its URL says; whoever drives it (a server, an application
it is mounted in) brings the connection. Whatever was recorded is hostile text: it reaches a page through
templates that escape, under a policy that lets nothing but our own files load.
"""
