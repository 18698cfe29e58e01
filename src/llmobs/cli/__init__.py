"""
The command line: what the store holds, in a terminal.

One file per command, registered in `llmobs.cli.app`. Whatever was recorded is hostile text: it
reaches the terminal through `llmobs.describe.words.visible` and `llmobs.cli.output` only.
"""
