"""Read-only tools for an assistant that explains sessions, offered by `verbatim mcp` (docs/assistants.md).

`explain_tools.py` answers, `tool_worker.py` does so in a separate process with bounds on time, memory and length,
`tool_process.py` starts that process, and `mcp_server.py` offers the tools over the Model Context Protocol.
"""
