"""A policy behind HTTP, for programs of any language on this machine:

python docs/examples/policy_server.py runs/reacher/... 8000
curl -d '{"observation": [0, 0, 0, 0, 0.1, 0.1, 0, 0, 0.1, 0]}' http://127.0.0.1:8000
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from agents import load_policy


def server(policy, port):
    """Returns a server, not yet begun, that answers an observation (do,) with an action (du,)."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, said = 200, {"action": policy.act(asked["observation"]).tolist()}
            except (KeyError, TypeError, ValueError) as error:
                code, said = 400, {"error": f"got {error}; expected an observation of numbers"}
            content = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return HTTPServer(("127.0.0.1", port), Answer)


if __name__ == "__main__":
    server(load_policy(sys.argv[1]), int(sys.argv[2])).serve_forever()
