#!/usr/bin/env python3
"""test_mcp_client.py SEXTANT: `sextant mcp` through the Model Context Protocol's own client (scripts/requirements/mcp.txt, installed where it is
not there): it agrees on a revision, lists the tools, and its checks of their results by the schemas they declare pass."""
import asyncio
import os
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
program = os.path.abspath(sys.argv[1])
packages = subprocess.run([os.path.join(here, "..", "..", "scripts", "install-python-packages"), "mcp"], stdout=subprocess.PIPE, text=True, check=True)
sys.path.insert(0, packages.stdout.strip())

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def talk(folder, environment):
    server = StdioServerParameters(command=program, args=["mcp", "-c", "notes"], env=environment)
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        tools = {tool.name for tool in (await session.list_tools()).tools}
        assert tools == {"search", "similar", "passage", "collections"}, tools
        found = await session.call_tool("search", {"query": "harbour", "mode": "keyword", "count": 1})
        assert "opens at six" in found.content[0].text, found
        passage = await session.call_tool("similar", {"document": os.path.join(folder, "notes", "bread.txt"), "line": 1})
        assert "opens at six" in passage.content[0].text, passage
        listed = await session.call_tool("collections", {})
        assert "notes" in listed.content[0].text, listed
        wrong = await session.call_tool("search", {"query": "x", "collection": "no-such"})
        assert "no-such" in wrong.content[0].text and (getattr(wrong, "is_error", None) or getattr(wrong, "isError", None)), wrong
        try:
            await session.call_tool("search", {})
            raise AssertionError("a call without its query is accepted")
        except AssertionError:
            raise
        except Exception as problem:
            assert "query" in str(problem), problem


with tempfile.TemporaryDirectory() as folder:
    environment = {"HOME": folder, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    os.mkdir(os.path.join(folder, "notes"))
    for name, text in (("harbour", "The harbour opens at six."), ("bread", "Bread rises overnight.")):
        with open(os.path.join(folder, "notes", name + ".txt"), "w") as file:
            file.write(text)
    subprocess.run([program, "index", "notes", "-c", "notes", "-m", "fake:a", "-q"], cwd=folder, env=environment, check=True)
    asyncio.run(asyncio.wait_for(talk(os.path.realpath(folder), environment), 60))
print("the client and the program understand each other")
