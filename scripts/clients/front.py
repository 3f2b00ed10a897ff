"""Hands each connection to the next replica in turn, and keeps count in a file.

    front.py PORT FILE REPLICA_PORT...
"""
import asyncio
import itertools
import sys

port, file, *ports = sys.argv[1:]
turn, taken = itertools.cycle(ports), dict.fromkeys(ports, 0)


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def serve(reader, writer):
    to = next(turn)
    taken[to] += 1
    with open(file, "w") as out:
        out.write(" ".join(str(n) for n in taken.values()) + "\n")
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", int(to))
    await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
    up_writer.close()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(port))
    await server.serve_forever()


asyncio.run(main())
