"""The openstack client for scripts that call it many times: loaded once, and a process of its own for each call.

    client.py serve SOCKET               in the environment of python-openstackclient, until it is killed
    client.py ask SOCKET ARGUMENT...     what `openstack ARGUMENT...` would do, with the caller's files and variables

On a busy machine the client takes seconds to load, and the bootstrap of Keystone calls it some fifty times.
"""

import array
import json
import os
import signal
import socket
import sys

# a request with its arguments and variables
LIMIT = 1 << 20


def ask(path, arguments):
    """Has the command run and gives its exit status."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(path)
        request = {"arguments": arguments, "environment": dict(os.environ), "directory": os.getcwd()}
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
        # one byte carries the files; an end tells that the request is whole
        server.sendmsg([b"\n"], [rights])
        server.sendall(json.dumps(request).encode())
        server.shutdown(socket.SHUT_WR)
        answer = server.recv(16)
    return int(answer) if answer else 70


def receive(connection):
    """A request, with the files of who asks."""
    files = array.array("i")
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * files.itemsize))
    for _, _, data in ancillary:
        files.frombytes(data)
    text = b""
    while (piece := connection.recv(65536)) and len(text) < LIMIT:
        text += piece
    return files, json.loads(text)


def run(connection, client):
    """The command, in a process that does nothing else; tells its exit status."""
    files, request = receive(connection)
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    try:
        status = client(request["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(status or 0).encode())


def serve(path):
    # the client calls itself by this name, and imports take it
    sys.argv = ["openstack"]
    import importlib
    import pkgutil

    from openstackclient import shell
    import openstackclient.identity.v3 as commands

    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"{commands.__name__}.{module.name}")
    # looks for plugins, and remembers them
    shell.OpenStackShell()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path + ".new")
        listener.listen()
        os.rename(path + ".new", path)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                try:
                    run(connection, shell.main)
                finally:
                    os._exit(0)
            connection.close()


if __name__ == "__main__":
    mode, place, *words = sys.argv[1:]
    if mode == "serve":
        serve(place)
    else:
        sys.exit(ask(place, words))
