"""Ends TLS in front of a plain server. Arguments: certificate, key, port to listen on, port to pass on to."""

import asyncio
import ssl
import sys

certificate, key, port, target = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", target)
    await asyncio.gather(copy(reader, back), copy(there, writer))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main())
