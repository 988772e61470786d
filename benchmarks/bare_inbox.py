"""What anybody would write first: a FastAPI route that parses a body and appends it to a file; prints its port."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--fsync", action="store_true", help="answer only once it is on the disk")
    parser.add_argument("--cores", help="processors it may run on, separated by commas")
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, {int(core) for core in arguments.cores.split(",")})
    app = FastAPI()
    file = arguments.file.open("ab")

    async def post(request: Request) -> dict[str, int]:
        records = await request.json()
        file.write(await request.body())
        file.write(b"\n")
        file.flush()
        if arguments.fsync:
            os.fsync(file.fileno())
        return {"accepted": len(records)}

    app.post("/records", status_code=202)(post)
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listening])
