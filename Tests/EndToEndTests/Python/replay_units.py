"""Answers calls for images, audio, moderation, rerank and batches as OpenAI, Cohere and Anthropic do, always the same.

Argument: port. A request whose key is not the one that the gateway is configured with is refused.
"""

import email.parser
import email.policy
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AUDIO = bytes(range(256)) * 400
KEY = "sk-upstream-secret"


def form_of(content_type, body):
    """The fields of a form, read by Python's own parser of messages; files are (name, bytes)."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        fields[name] = (part.get_filename(), data) if part.get_filename() else data.decode()
    return fields


def images(count):
    return {"created": 1, "data": [{"b64_json": "aGVsbG8="} for _ in range(count)]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/":
            return self.answer(200, {"ready": True})
        self.check()
        if self.path == "/v1/models/claude-up":
            return self.answer(200, {"id": "claude-up", "type": "model", "display_name": "Up", "created_at": "2026"})
        self.answer(404, {"error": {"message": f"no {self.path}", "type": "not_found"}})

    def check(self):
        keys = [self.headers.get("authorization", "").removeprefix("Bearer "), self.headers.get("x-api-key")]
        assert KEY in keys, "the gateway's key is missing"
        for name, value in self.headers.items():
            assert not value.removeprefix("Bearer ").startswith("sk-") or KEY in value, f"a key leaks in {name}"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.check()
        kind = self.headers["content-type"]
        request = form_of(kind, body) if kind.startswith("multipart/") else json.loads(body)
        path = self.path.split("?")[0]
        if path == "/v1/images/generations":
            assert request["model"] == "gpt-image-1", request
            return self.answer(200, images(request.get("n", 1)))
        if path == "/v1/images/edits":
            assert request["model"] == "gpt-image-1" and request["image"][1] == AUDIO, "the image was changed"
            usage = {"input_tokens": 20, "output_tokens": 30, "total_tokens": 50}
            usage["input_tokens_details"] = {"text_tokens": 5, "image_tokens": 15}
            return self.answer(200, {**images(1), "usage": usage})
        if path == "/v1/audio/speech":
            assert request["model"] == "tts-1", request
            return self.stream(AUDIO, "audio/mpeg")
        if path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
            assert request["model"] == "whisper-1" and request["file"][1] == AUDIO, "the file was changed"
            if request.get("response_format") == "verbose_json":
                return self.answer(200, {"text": "hello", "duration": 20.5, "language": "english", "segments": []})
            return self.answer(200, {"text": "hello", "usage": {"type": "duration", "seconds": 3}})
        if path == "/v1/moderations":
            result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
            return self.answer(200, {"id": "modr-1", "model": request["model"], "results": [result]})
        if path == "/v2/rerank":
            assert request["model"] == "rerank-v3.5", request
            results = [{"index": 1, "relevance_score": 0.9}]
            return self.answer(200, {"id": "r", "results": results, "meta": {"billed_units": {"search_units": 1}}})
        if path == "/v1/messages/batches":
            return self.answer(200, {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"})
        self.answer(404, {"error": {"message": f"no {self.path}", "type": "not_found"}})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, body, content_type):
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 10_000):
            piece = body[start : start + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.serve_forever()
